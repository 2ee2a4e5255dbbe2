"""Programs that come from the distribution: found by the file that each package brings."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autoglm_localcluster.narrate import say, step


class CannotInstallError(RuntimeError):
    """Packages are missing and cannot be installed from here."""


@dataclass(frozen=True)
class Package:
    """A Debian package and a file that proves it is installed (absolute, or a program on PATH)."""

    name: str
    proof: str

    def is_installed(self) -> bool:
        """Whether the proof is there."""
        return Path(self.proof).exists() if self.proof.startswith("/") else shutil.which(self.proof) is not None


NODE_PACKAGES: Final = (
    # A runc built by `go install` lacks seccomp and fails under the restricted profile.
    Package("runc", "runc"),
    Package("containernetworking-plugins", "/usr/lib/cni/ptp"),
    Package("nftables", "nft"),
    Package("iproute2", "ip"),
    Package("mount", "umount"),
)
IMAGE_PACKAGES: Final = (Package("buildah", "buildah"), Package("debootstrap", "debootstrap"))


def missing(packages: Sequence[Package]) -> list[Package]:
    """Return the packages that are not installed."""
    return [package for package in packages if not package.is_installed()]


def ensure(packages: Sequence[Package]) -> None:
    """Install what is missing, after saying so.

    Raises:
        CannotInstallError: not root, or no apt-get.
    """
    wanted = [package.name for package in missing(packages)]
    if not wanted:
        return
    command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *wanted]
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        raise CannotInstallError(f"these packages are needed and cannot be installed from here: {' '.join(wanted)}")
    say(f"will install Debian packages: [bold]{' '.join(wanted)}[/bold]")
    with step("installing Debian packages"):
        _apt(["apt-get", "update", "-q"])
        _apt(command)


def _apt(command: list[str]) -> None:
    settings = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    result = subprocess.run(command, env=settings, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise CannotInstallError(f"{' '.join(command[:2])} failed:\n{result.stderr[-2000:]}")
