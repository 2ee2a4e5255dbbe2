"""What this machine can do, found out by looking."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_CAP_SYS_RESOURCE: Final = 24
_DOCKER_INFO_SECONDS = 10


@dataclass(frozen=True)
class Host:
    """Facts about the machine that decide how a cluster can run on it."""

    is_linux: bool
    is_root: bool
    has_cgroup_v2: bool
    may_raise_limits: bool
    has_docker_engine: bool

    @property
    def can_run_node(self) -> bool:
        """Whether containerd and the kubelet can run directly on this machine."""
        return self.is_linux and self.is_root

    def why_no_node(self) -> str:
        """Say what is missing for a real node (empty when nothing is)."""
        if not self.is_linux:
            return "a real node needs Linux"
        return "" if self.is_root else "a real node needs root (containers, network namespaces)"


def look() -> Host:
    """Look at the machine."""
    return Host(
        is_linux=platform.system() == "Linux",
        is_root=os.geteuid() == 0,
        has_cgroup_v2=Path("/sys/fs/cgroup/cgroup.controllers").exists(),
        may_raise_limits=_has_capability(_CAP_SYS_RESOURCE),
        has_docker_engine=_has_docker_engine(),
    )


def _has_capability(bit: int) -> bool:
    status = Path("/proc/self/status")
    if not status.exists():
        return False
    effective = next(line for line in status.read_text().splitlines() if line.startswith("CapEff:"))
    return bool(int(effective.split()[1], 16) >> bit & 1)


def _has_docker_engine() -> bool:
    """Ask the engine: a `docker` program may be there without one."""
    if shutil.which("docker") is None:
        return False
    try:
        answer = subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=_DOCKER_INFO_SECONDS)
    except subprocess.TimeoutExpired:
        return False
    return answer.returncode == 0
