"""What a running cluster is to those who use it: where it is and how to talk to it."""

import datetime as dt
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from autoglm_localcluster import certificates, toolchain
from autoglm_localcluster.certificates import Identity, KeyPair
from autoglm_localcluster.paths import RunDir


class KubectlError(RuntimeError):
    """`kubectl` failed; the message is what it printed."""


@dataclass(frozen=True)
class Cluster:
    """A running cluster. `provider` is `local`, `kind` or `existing`; only `local` has a run directory of servers."""

    name: str
    provider: str
    kubeconfig: Path
    server_url: str
    run_dir: Path
    has_node: bool

    @property
    def run(self) -> RunDir:
        """The run directory's layout."""
        return RunDir(self.run_dir)

    @property
    def audit_log(self) -> Path:
        """API server's audit log, one JSON object per line (`local` only)."""
        return self.run.audit_log

    def environment(self) -> dict[str, str]:
        """Environment in which `kubectl` and `helm` are on PATH and talk to this cluster."""
        tools = dict.fromkeys(str(tool.path.parent) for tool in toolchain.CLIENT_TOOLS)
        return {"KUBECONFIG": str(self.kubeconfig), "PATH": os.pathsep.join([*tools, os.environ.get("PATH", "")])}

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout_seconds: float = 60) -> str:
        """Run kubectl and return its standard output.

        Raises:
            KubectlError: it failed.
        """
        command = [str(toolchain.KUBECTL.path), "--kubeconfig", str(self.kubeconfig), *arguments]
        result = subprocess.run(
            command, input=stdin, capture_output=True, text=True, check=False, timeout=timeout_seconds
        )
        if result.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {result.stderr.strip()}")
        return result.stdout

    def apply(self, manifest: str) -> None:
        """Server-side apply a manifest (YAML, several documents allowed)."""
        self.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=manifest)

    def kubeconfig_for(self, user: str, groups: Sequence[str] = ()) -> Path:
        """Write a kubeconfig for another user of a `local` cluster and return its path (for tests of RBAC)."""
        authority = KeyPair.read(self.run.pki, "ca")
        now = dt.datetime.now(dt.UTC)
        client = certificates.issue(authority, Identity(user, tuple(groups)), now)
        path = self.run.config / f"user-{user.replace(':', '-')}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(certificates.kubeconfig(self.server_url, authority.certificate, client))
        return path

    def save(self) -> None:
        """Remember the cluster in its run directory."""
        fields = {**asdict(self), "kubeconfig": str(self.kubeconfig), "run_dir": str(self.run_dir)}
        self.run.record.write_text(json.dumps(fields, indent=2))

    @classmethod
    def load(cls, run: RunDir) -> "Cluster | None":
        """Return the cluster that `save` remembered there, or None."""
        if not run.record.exists():
            return None
        fields = json.loads(run.record.read_text())
        return cls(**{**fields, "kubeconfig": Path(fields["kubeconfig"]), "run_dir": Path(fields["run_dir"])})
