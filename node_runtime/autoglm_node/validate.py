"""Phase Validate: spec, artifact and backend are checked, and every complaint says what to change."""

import importlib.util
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from autoglm_api import names
from autoglm_api.config import EngineSpec
from autoglm_api.spec import Backend, ModelKind, Precision
from autoglm_node import artifact
from autoglm_node.failure import FatalError
from autoglm_node.phases import Phase

TRITON_BACKENDS: Final = {
    Backend.ONNX_RUNTIME: "python",
    Backend.PYTORCH: "python",
    Backend.TENSORRT_LLM: "tensorrtllm",
    Backend.TENSORRT: "tensorrt",
}

KIND_BACKENDS: Final = {
    ModelKind.GENERATIVE: (Backend.ONNX_RUNTIME, Backend.PYTORCH, Backend.TENSORRT_LLM),
    ModelKind.EMBEDDING: (Backend.ONNX_RUNTIME, Backend.TENSORRT),
}
PACKAGES: Final = {Backend.ONNX_RUNTIME: ("onnxruntime",), Backend.PYTORCH: ("torch", "onnx")}
"""What the CPU engine imports; PyTorch reads the weights out of the ONNX file."""
CPU_PRECISIONS: Final = {
    Backend.ONNX_RUNTIME: (Precision.FP32, Precision.INT8),
    Backend.PYTORCH: (Precision.FP32, Precision.BF16),
}
BF16_FLAGS: Final = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
CPU_INFO: Final = Path("/proc/cpuinfo")


def validated(spec_path: Path, triton_dir: Path) -> EngineSpec:
    """Return the spec of a worker that can be started.

    Raises:
        FatalError: exit code EXIT_BAD_SPEC or EXIT_BAD_REPOSITORY.
    """
    spec = _read(spec_path)
    _check_kind(spec)
    _check_backend(spec, triton_dir)
    _check_artifact(spec)
    _check_precision(spec)
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


def _check_kind(spec: EngineSpec) -> None:
    backends = KIND_BACKENDS[spec.model_kind]
    if spec.backend not in backends:
        raise _bad_spec(f"backend {spec.backend} runs no {spec.model_kind} models; use {' or '.join(backends)}")
    if spec.model_kind is ModelKind.EMBEDDING and spec.precision not in (None, Precision.FP32) and not spec.gpus:
        raise _bad_spec("Embedding models run in FP32 on a CPU; leave precision out")


def _check_backend(spec: EngineSpec, triton_dir: Path) -> None:
    if not (triton_dir / "bin" / "tritonserver").is_file():
        raise _bad_repository("TritonMissing", f"{triton_dir}/bin/tritonserver does not exist; the image lacks Triton")
    if spec.backend in (Backend.TENSORRT_LLM, Backend.TENSORRT) and spec.gpus == 0:
        raise _bad_spec(f"backend {spec.backend} needs at least one GPU; set gpusPerReplica or use ONNXRuntime")
    directory = triton_dir / "backends" / TRITON_BACKENDS[spec.backend]
    if not directory.is_dir():
        message = (
            f"this image's Triton has no backend {directory.name!r}, which {spec.backend} needs; use another image"
        )
        raise _bad_repository("BackendMissing", message)
    for package in PACKAGES.get(spec.backend, ()):
        if importlib.util.find_spec(package) is None:
            raise _bad_repository("BackendMissing", f"the Python package {package} is not installed in this image")


def _check_artifact(spec: EngineSpec) -> None:
    directory = Path(spec.model_path)
    try:
        if spec.model_kind is ModelKind.EMBEDDING:
            artifact.check_encoder(directory, spec.backend)
        else:
            artifact.check(directory, spec.backend, spec.precision)
        longest = artifact.longest_sequence(directory)
    except artifact.ArtifactError as error:
        raise _bad_repository("BadArtifact", str(error)) from None
    if longest is not None and spec.max_sequence_tokens > longest:
        message = f"maxSequenceTokens is {spec.max_sequence_tokens}, but model {spec.model_name} was made for {longest}"
        raise _bad_spec(message)


def _check_precision(spec: EngineSpec) -> None:
    asked, possible = spec.precision, CPU_PRECISIONS.get(spec.backend)
    if asked is None:
        return
    if possible is None:
        built = artifact.built_precision(Path(spec.model_path))
        if built is not asked:
            raise _bad_spec(f"precision is {asked}, but the engine of model {spec.model_name} was built for {built}")
    elif asked not in possible:
        raise _bad_spec(f"backend {spec.backend} has no {asked} on a CPU; set precision to {' or '.join(possible)}")
    elif asked is Precision.BF16 and not has_bf16(CPU_INFO):
        raise _bad_spec("this node's CPU has no instructions for BF16, which would be slower than FP32; use FP32")


def has_bf16(cpu_info: Path) -> bool:
    """Return whether a CPU works out BF16 in hardware, from /proc/cpuinfo (`flags` or, on ARM, `Features`)."""
    try:
        lines = cpu_info.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return not BF16_FLAGS.isdisjoint(flags.split())


def _bad_spec(message: str) -> FatalError:
    return FatalError(Phase.VALIDATE, "BadSpec", message, names.EXIT_BAD_SPEC)


def _bad_repository(reason: str, message: str) -> FatalError:
    return FatalError(Phase.VALIDATE, reason, message, names.EXIT_BAD_REPOSITORY)
