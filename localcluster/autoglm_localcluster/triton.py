"""The real Triton for the node image and for tests: binaries out of a PyPI wheel, laid out like the official image."""

import fcntl
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from autoglm_localcluster.paths import cache_dir
from autoglm_localcluster.pip import download

VERSION: Final = "0.7.0"  # carries tritonserver 2.51.0 (release 24.10)
_HASH: Final = "21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df"
_REQUIREMENT: Final = f"nvidia-pytriton=={VERSION} --hash=sha256:{_HASH}\n"
_STUB: Final = "python_backend_stubs/3.11/triton_python_backend_stub"


def root_folder() -> Path:
    """Where the server's tree is kept."""
    return cache_dir() / f"triton-{VERSION}"


def triton_root() -> Path:
    """Directory with `bin/tritonserver`, `lib`, `backends/python` and `caches`, made on first use (54 MB download)."""
    root = root_folder()
    if not root.exists():
        root.parent.mkdir(parents=True, exist_ok=True)
        with (root.parent / f"triton-{VERSION}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # two test sessions may start on a fresh machine
            if not root.exists():
                _install(root)
    return root


def _install(root: Path) -> None:
    with tempfile.TemporaryDirectory(dir=root.parent) as scratch:
        requirements = Path(scratch, "requirements.txt")
        requirements.write_text(_REQUIREMENT)
        download(requirements, Path(scratch))
        (wheel,) = Path(scratch).glob("*.whl")
        lay_out(wheel, Path(scratch, "root"))
        Path(scratch, "root").rename(root)


def lay_out(wheel: Path, target: Path) -> None:
    """Unpack the wheel's server as the official image has it, with the Python stub inside its backend's folder."""
    target.mkdir()
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(scratch)
        server = Path(scratch, "pytriton", "tritonserver")
        for part in ("bin", "backends", "caches"):
            shutil.move(server / part, target / part)
        shutil.move(Path(scratch, "nvidia_pytriton.libs"), target / "lib")
        shutil.copy(server / _STUB, target / "backends" / "python")
    for program in (target / "bin" / "tritonserver", target / "backends" / "python" / Path(_STUB).name):
        program.chmod(0o755)
