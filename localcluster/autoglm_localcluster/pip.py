"""A pip of our own for downloads; the development environment is made by uv and has none."""

import subprocess
import sys
from pathlib import Path

from autoglm_localcluster.paths import cache_dir


def program() -> Path:
    """Path of a pip in the cache, made on first use."""
    environment = cache_dir() / "tools" / f"pip-python{sys.version_info.major}.{sys.version_info.minor}"
    pip = environment / "bin" / "pip"
    if not pip.exists():
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    return pip


def download(requirements: Path, target: Path) -> None:
    """Download every requirement of a file with pinned hashes (and nothing else) as wheels into the target folder."""
    _run(
        ["download", "--only-binary=:all:", "--require-hashes", "--no-deps", "-r", str(requirements), "-d", str(target)]
    )


def install(requirement: str, environment: Path) -> None:
    """Make a virtual environment and install one requirement into it."""
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    subprocess.run([environment / "bin" / "pip", "install", "-q", requirement], check=True)


def _run(arguments: list[str]) -> None:
    subprocess.run([program(), "-q", *arguments], check=True)
