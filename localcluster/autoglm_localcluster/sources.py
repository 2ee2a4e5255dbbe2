"""What goes into the contexts of our images: wheels of the lock, our own packages, models, programs."""

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from autoglm_localcluster import fingerprint, pip
from autoglm_localcluster.paths import REPOSITORY, cache_dir

PACKAGES: Final = {
    "autoglm_api": "api",
    "autoglm_gateway": "gateway",
    "autoglm_node": "node_runtime",
    "autoglm_operator": "operator",
    "autoglm_transport": "transport",
}
MODELS: Final = REPOSITORY / "models" / "artifacts"
_HATCHLING: Final = "hatchling==1.27.0"


def lock_file(extra: str) -> Path:
    """Locked requirements of an image."""
    return REPOSITORY / "locks" / f"{extra}.txt"


def wheelhouse(extra: str) -> Path:
    """Directory with every wheel of an image's lock, downloaded once per content of the lock."""
    lock = lock_file(extra)
    folder = cache_dir() / "wheels" / f"{extra}-{fingerprint.of([lock])}"
    if not folder.exists():
        unfinished = folder.with_name(f"{folder.name}.{os.getpid()}")
        unfinished.mkdir(parents=True)
        pip.download(lock, unfinished)
        unfinished.rename(folder)
    return folder


def package_folders(packages: Sequence[str]) -> list[Path]:
    """Source folders of our packages."""
    return [REPOSITORY / PACKAGES[name] / name for name in packages]


def unpack_project(packages: Sequence[str], target: Path) -> None:
    """Build the project's wheel and unpack these packages of it, with the project's metadata, into the target."""
    wheels = target.with_name(f"{target.name}-wheel")
    shutil.rmtree(wheels, ignore_errors=True)
    subprocess.run(
        [_hatchling(), "build", "-t", "wheel", "-d", wheels], cwd=REPOSITORY, check=True, capture_output=True
    )
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as archive:
        wanted = [name for name in archive.namelist() if _belongs(name, packages)]
        archive.extractall(target, wanted)
    shutil.rmtree(wheels)


def _belongs(name: str, packages: Sequence[str]) -> bool:
    top = name.split("/", maxsplit=1)[0]
    return top in packages or top.endswith(".dist-info")


def _hatchling() -> Path:
    environment = cache_dir() / "tools" / f"{_HATCHLING.replace('==', '-')}-python{sys.version_info.minor}"
    program = environment / "bin" / "hatchling"
    if not program.exists():
        pip.install(_HATCHLING, environment)
    return program


def link_tree(source: Path, target: Path) -> None:
    """Mirror a directory by hard links (copies where the file systems differ); replaces the target."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, copy_function=_link)


def _link(source: str, target: str) -> str:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
    return target
