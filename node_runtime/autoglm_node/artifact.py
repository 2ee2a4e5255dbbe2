"""What the front checks about a model directory before anything is started. See also engine/artifact.py."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from autoglm_api.spec import Backend, Precision
from autoglm_node.chat import CHAT_FILE, TOKENIZER_FILE
from autoglm_node.embedding.words import ENCODER_FILE

MANIFEST: Final = "manifest.json"
CONFIG: Final = "config.json"
GRAPHS: Final = {Precision.FP32: "model.onnx", Precision.INT8: "model.int8.onnx"}
"""The ONNX graph of each precision that the CPU engine runs from a graph of its own; BF16 is made of FP32's weights."""
_COMMON: Final = (MANIFEST, CONFIG, TOKENIZER_FILE, CHAT_FILE)
# TensorRT-LLM's QuantAlgo by its first part (FP8, FP8_PER_CHANNEL..., W8A8_SQ..., W4A16_AWQ ...), and its dtypes.
_ALGORITHMS: Final = {
    "FP8": Precision.FP8,
    "INT8": Precision.INT8,
    "W8A8": Precision.INT8,
    "W8A16": Precision.INT8,
    "W4A16": Precision.INT4,
    "W4A8": Precision.INT4,
}
_NUMBERS: Final = {"float32": Precision.FP32, "float16": Precision.FP16, "bfloat16": Precision.BF16}
_BLOCK_BYTES: Final = 1 << 20


class ArtifactError(Exception):
    """The model directory cannot be served; the text says what to change."""


def graph_of(precision: Precision | None) -> str:
    """Return the file with the graph that a precision is run from."""
    return GRAPHS.get(precision or Precision.FP32, GRAPHS[Precision.FP32])


def _needed(backend: Backend, precision: Precision | None) -> tuple[str, ...]:
    return (*_COMMON, "rank0.engine" if backend is Backend.TENSORRT_LLM else graph_of(precision))


def check(directory: Path, backend: Backend, precision: Precision | None = None) -> None:
    """Check that the directory has what the backend needs and that every listed file is what its manifest says.

    Raises:
        ArtifactError: a file is missing, unreadable or changed.
    """
    wanted = f"backend {backend}" if precision is None else f"backend {backend} with precision {precision}"
    check_files(directory, _needed(backend, precision), wanted)


def check_encoder(directory: Path, backend: Backend) -> None:
    """Check the same of an embedding model; raises ArtifactError."""
    engine = "model.plan" if backend is Backend.TENSORRT else "model.onnx"
    check_files(directory, (MANIFEST, CONFIG, TOKENIZER_FILE, ENCODER_FILE, engine), f"an Embedding model on {backend}")


def check_files(directory: Path, needed: Sequence[str], wanted: str) -> None:
    """Check that the files are there which `wanted` needs, and the sums of the manifest; raises ArtifactError."""
    if not directory.is_dir():
        raise ArtifactError(f"the model directory {directory} does not exist; set the pool's model to one that does")
    missing = [name for name in needed if not (directory / name).is_file()]
    if missing:
        raise ArtifactError(f"{directory} lacks {', '.join(missing)}, which {wanted} needs")
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


def built_precision(directory: Path) -> Precision | None:
    """Return what a TensorRT-LLM engine was built for, where its config.json says so.

    Raises:
        ArtifactError: config.json is no JSON object.
    """
    model = _json_object(directory / CONFIG).get("pretrained_config")
    if not isinstance(model, dict):
        return None
    quantization = model.get("quantization")
    algorithm = quantization.get("quant_algo") if isinstance(quantization, dict) else None
    if algorithm is not None:
        return _ALGORITHMS.get(str(algorithm).partition("_")[0])
    return _NUMBERS.get(str(model.get("dtype")))


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
