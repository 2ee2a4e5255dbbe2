"""A pip of our own for downloads; the development environment is made by uv and has none."""

import re
import subprocess
import sys
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Final

from autoglm_localcluster.paths import cache_dir

_PATCH_RELEASE: Final = re.compile(r" ; python_full_version [<>=]+ '3\.\d+\.\d+'")


def program() -> Path:
    """Path of a pip in the cache, made on first use."""
    environment = cache_dir() / "tools" / f"pip-python{sys.version_info.major}.{sys.version_info.minor}"
    pip = environment / "bin" / "pip"
    if not pip.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    return pip


def download(requirements: Path, target: Path) -> None:
    """Download every requirement of a file with pinned hashes (and nothing else) as wheels into the target folder."""
    with NamedTemporaryFile("w", suffix=".txt") as every:
        every.write(for_every_patch(requirements.read_text()))
        every.flush()
        _run(["download", "--only-binary=:all:", "--require-hashes", "--no-deps", "-r", every.name, "-d", str(target)])


def for_every_patch(requirements: str) -> str:
    """Return the requirements of all patch releases of a Python: the image's may be older than this process's.

    >>> for_every_patch("async-timeout==5.0.1 ; python_full_version < '3.11.3' ")
    'async-timeout==5.0.1 '
    """
    return _PATCH_RELEASE.sub("", requirements)


def install(requirement: str, environment: Path) -> None:
    """Make a virtual environment and install one requirement into it."""
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    subprocess.run([environment / "bin" / "pip", "install", "-q", requirement], check=True)


def _run(arguments: list[str]) -> None:
    subprocess.run([program(), "-q", *arguments], check=True)
