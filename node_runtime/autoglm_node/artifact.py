"""What the front checks about a model directory before anything is started. See also engine/artifact.py."""

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from autoglm_api.spec import Backend
from autoglm_node.chat import CHAT_FILE, TOKENIZER_FILE

MANIFEST: Final = "manifest.json"
CONFIG: Final = "config.json"
_NEEDED: Final = {
    Backend.ONNX_RUNTIME: (MANIFEST, CONFIG, TOKENIZER_FILE, CHAT_FILE, "model.onnx"),
    Backend.TENSORRT_LLM: (MANIFEST, CONFIG, TOKENIZER_FILE, CHAT_FILE, "rank0.engine"),
}
_BLOCK_BYTES: Final = 1 << 20


class ArtifactError(Exception):
    """The model directory cannot be served; the text says what to change."""


def check(directory: Path, backend: Backend) -> None:
    """Check that the directory has what the backend needs and that every listed file is what its manifest says.

    Raises:
        ArtifactError: a file is missing, unreadable or changed.
    """
    if not directory.is_dir():
        raise ArtifactError(f"the model directory {directory} does not exist; set the pool's model to one that does")
    missing = [name for name in _NEEDED[backend] if not (directory / name).is_file()]
    if missing:
        raise ArtifactError(f"{directory} lacks {', '.join(missing)}, which backend {backend} needs")
    for name, expected in _listed(directory).items():
        found = _sha256(directory / name) if (directory / name).is_file() else "no file"
        if found != expected:
            raise ArtifactError(f"{directory / name}: {MANIFEST} says sha256 {expected}, found {found}")


def longest_sequence(directory: Path) -> int | None:
    """Return how many tokens the model was made for, where config.json says so (max_position_embeddings).

    Raises:
        ArtifactError: config.json is no JSON object.
    """
    limit = _json_object(directory / CONFIG).get("max_position_embeddings")
    return limit if isinstance(limit, int) else None


def _listed(directory: Path) -> dict[str, str]:
    files = _json_object(directory / MANIFEST).get("files")
    if not isinstance(files, dict) or not files:
        raise ArtifactError(f"{directory / MANIFEST} has no `files` (name -> sha256)")
    return files


def _json_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path}: {error}") from None
    if not isinstance(content, dict):
        raise ArtifactError(f"{path} is no JSON object")
    return content


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
