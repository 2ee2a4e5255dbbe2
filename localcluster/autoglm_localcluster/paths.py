"""Where things live: what is kept between runs (cache) and what belongs to one cluster (run directory)."""

import os
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
LOCALCLUSTER = REPOSITORY / "localcluster"
MANIFESTS = LOCALCLUSTER / "manifests"


def cache_dir() -> Path:
    """Directory of downloads and builds that every cluster shares."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "autoglm"


def run_root() -> Path:
    """Directory that holds one run directory per cluster name (`AUTOGLM_RUN_DIR` overrides it)."""
    override = os.environ.get("AUTOGLM_RUN_DIR")
    return Path(override) if override else cache_dir() / "run"


@dataclass(frozen=True)
class RunDir:
    """The directory of one cluster; everything that the cluster writes is below it."""

    root: Path

    @classmethod
    def named(cls, name: str) -> "RunDir":
        """Run directory of the cluster with this name."""
        return cls(run_root() / name)

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.root.name

    @property
    def pids(self) -> Path:
        """One file per running process."""
        return self.root / "pids"

    @property
    def logs(self) -> Path:
        """One log per process, and the audit log."""
        return self.root / "logs"

    @property
    def pki(self) -> Path:
        """Keys and certificates."""
        return self.root / "pki"

    @property
    def config(self) -> Path:
        """Rendered configuration files."""
        return self.root / "config"

    @property
    def state(self) -> Path:
        """Data of etcd, containerd and the kubelet."""
        return self.root / "state"

    @property
    def kubeconfig(self) -> Path:
        """Administrator's kubeconfig."""
        return self.root / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """API server's audit log: one JSON object per line."""
        return self.logs / "audit.log"

    @property
    def record(self) -> Path:
        """What `up` wrote about the cluster (JSON of `cluster.Cluster`)."""
        return self.root / "cluster.json"

    def create(self) -> None:
        """Make the directory and its parts; private keys live here, so only the owner may read it."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for part in (self.pids, self.logs, self.pki, self.config, self.state):
            part.mkdir(exist_ok=True)
