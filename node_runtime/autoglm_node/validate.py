"""Phase Validate: spec, artifact and backend are checked, and every complaint says what to change."""

import importlib.util
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from autoglm_api import names
from autoglm_api.config import EngineSpec
from autoglm_api.spec import Backend
from autoglm_node import artifact
from autoglm_node.failure import FatalError
from autoglm_node.phases import Phase

TRITON_BACKENDS: Final = {Backend.ONNX_RUNTIME: "python", Backend.TENSORRT_LLM: "tensorrtllm"}


def validated(spec_path: Path, triton_dir: Path) -> EngineSpec:
    """Return the spec of a worker that can be started.

    Raises:
        FatalError: exit code EXIT_BAD_SPEC or EXIT_BAD_REPOSITORY.
    """
    spec = _read(spec_path)
    _check_backend(spec, triton_dir)
    _check_artifact(spec)
    return spec


def _read(path: Path) -> EngineSpec:
    try:
        return EngineSpec.model_validate_json(path.read_bytes())
    except OSError as error:
        raise _bad_spec(f"the engine spec cannot be read: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise _bad_spec(f"{path}: {where}: {first['msg']}") from None


def _check_backend(spec: EngineSpec, triton_dir: Path) -> None:
    if not (triton_dir / "bin" / "tritonserver").is_file():
        raise _bad_repository("TritonMissing", f"{triton_dir}/bin/tritonserver does not exist; the image lacks Triton")
    if spec.backend is Backend.TENSORRT_LLM and spec.gpus == 0:
        raise _bad_spec("backend TensorRTLLM needs at least one GPU; set gpusPerReplica or use ONNXRuntime")
    directory = triton_dir / "backends" / TRITON_BACKENDS[spec.backend]
    if not directory.is_dir():
        message = (
            f"this image's Triton has no backend {directory.name!r}, which {spec.backend} needs; use another image"
        )
        raise _bad_repository("BackendMissing", message)
    if spec.backend is Backend.ONNX_RUNTIME and importlib.util.find_spec("onnxruntime") is None:
        raise _bad_repository("BackendMissing", "the Python package onnxruntime is not installed in this image")


def _check_artifact(spec: EngineSpec) -> None:
    directory = Path(spec.model_path)
    try:
        artifact.check(directory, spec.backend)
        longest = artifact.longest_sequence(directory)
    except artifact.ArtifactError as error:
        raise _bad_repository("BadArtifact", str(error)) from None
    if longest is not None and spec.max_sequence_tokens > longest:
        message = f"maxSequenceTokens is {spec.max_sequence_tokens}, but model {spec.model_name} was made for {longest}"
        raise _bad_spec(message)


def _bad_spec(message: str) -> FatalError:
    return FatalError(Phase.VALIDATE, "BadSpec", message, names.EXIT_BAD_SPEC)


def _bad_repository(reason: str, message: str) -> FatalError:
    return FatalError(Phase.VALIDATE, reason, message, names.EXIT_BAD_REPOSITORY)
