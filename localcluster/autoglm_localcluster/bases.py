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


def folder() -> Path:
    """Where the root file system is kept."""
    return cache_dir() / "bases" / f"{_SUITE}-python"


def root_filesystem() -> Path:
    """Directory with Debian and Python, made on first use (about a minute).

    Raises:
        BuildError: debootstrap failed.
    """
    finished = folder()
    if not finished.exists():
        unfinished = finished.with_name(f"{finished.name}.{os.getpid()}")
        unfinished.mkdir(parents=True)
        _debootstrap(unfinished)
        _slim(unfinished)
        unfinished.rename(finished)
    return finished


def _debootstrap(target: Path) -> None:
    _run(["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}", _SUITE, str(target)])


def _slim(root: Path) -> None:
    for part in _SURPLUS:
        shutil.rmtree(root / part, ignore_errors=True)
        (root / part).mkdir(parents=True, exist_ok=True)
    (root / "var/log").chmod(0o755)


def _run(command: list[str]) -> None:
    result = subprocess.run(["nice", *command], capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise BuildError(f"{command[0]} failed:\n{(result.stdout + result.stderr)[-2000:]}")
