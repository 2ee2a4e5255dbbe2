"""The Debian root file system that stands in for `python:3.11-slim` where no image registry can be reached."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

from autoglm_localcluster.builder import BuildError
from autoglm_localcluster.paths import cache_dir

_SUITE: Final = "bookworm"
# libpython: the stub of Triton's Python backend links to it.
_PACKAGES: Final = ("python3", "python3-pip", "libpython3.11")
_SURPLUS: Final = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "dev",
    "proc",
    "sys",
)


def root_filesystem() -> Path:
    """Directory with Debian and Python, made on first use (about a minute).

    Raises:
        BuildError: debootstrap failed.
    """
    folder = cache_dir() / "bases" / f"{_SUITE}-python"
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        unfinished.mkdir(parents=True)
        _debootstrap(unfinished)
        _slim(unfinished)
        unfinished.rename(folder)
    return folder


def debian_program(package: str, path: str, target: Path) -> None:
    """Put one program of a Debian package below the target directory, without installing the package.

    Raises:
        BuildError: the package could not be downloaded or unpacked.
    """
    downloads = cache_dir() / "debian"
    downloads.mkdir(parents=True, exist_ok=True)
    if not list(downloads.glob(f"{package}_*.deb")):
        _run(["apt-get", "download", "-q", package], cwd=downloads)
    archive = next(downloads.glob(f"{package}_*.deb"))
    unpacked = downloads / package
    _run(["dpkg-deb", "--extract", str(archive), str(unpacked)])
    (target / path).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(unpacked / path, target / path)
    shutil.rmtree(unpacked)


def _debootstrap(target: Path) -> None:
    _run(["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, str(target)])


def _slim(root: Path) -> None:
    for part in _SURPLUS:
        shutil.rmtree(root / part, ignore_errors=True)
        (root / part).mkdir(parents=True, exist_ok=True)
    (root / "var/log").chmod(0o755)


def _run(command: list[str], *, cwd: Path | None = None) -> None:
    # apt's own user may not enter our cache, so it downloads as the user who asks.
    result = subprocess.run(["nice", *command], cwd=cwd, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise BuildError(f"{command[0]} failed:\n{(result.stdout + result.stderr)[-2000:]}")
