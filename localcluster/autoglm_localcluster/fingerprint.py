"""A short hash over files, to tell whether something must be built again."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

_CHARACTERS = 12


def of(paths: Iterable[Path], *extra: str) -> str:
    """Hash the content and relative names of files and of directories' files, and any extra text.

    Compiled Python and hidden files are left out; a path that does not exist counts as absent, not as an error.
    """
    digest = hashlib.sha256()
    for text in extra:
        digest.update(text.encode() + b"\0")
    for path in paths:
        for file in _files(path):
            digest.update(str(file.relative_to(path.parent)).encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:_CHARACTERS]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = (file for file in path.rglob("*") if file.is_file())
    return sorted(file for file in found if not _is_left_out(file.relative_to(path)))


def _is_left_out(relative: Path) -> bool:
    return "__pycache__" in relative.parts or relative.name.startswith(".")
