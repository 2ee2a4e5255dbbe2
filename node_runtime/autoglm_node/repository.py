"""Phase Generate: the model repository that Triton reads, written from the engine spec.

The TensorRT-LLM configuration follows the backend's in-flight batching model (inputs, outputs, parameters); it is
checked by round trip and by loading it with the Python backend swapped in, not by running it on a GPU.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from autoglm_api.config import EngineSpec
from autoglm_api.spec import Backend, ModelKind, Precision
from autoglm_node.embedding import repository as embedding
from autoglm_node.engine.packing import PARAMETER_BATCHING
from autoglm_node.engine.reclaim import PARAMETER_FILE, PARAMETER_INTERVAL
from autoglm_node.events import CANCELS, NUMBER

# The canary needs a slot of its own: a full replica must not look like a dead one.
CANARY_SLOTS: Final = 1
CPU_BACKENDS: Final = (Backend.ONNX_RUNTIME, Backend.PYTORCH)  # both run in Triton's Python backend
DIRECTORY: Final = "repository"
RECLAIM_FILE: Final = "reclaim"  # touched: the engine gives unused memory back
KV_CACHE_GPU_FRACTION: Final = "0.85"
MODEL_FILE: Final = (
    '"""Written by the node runtime."""\n\nfrom autoglm_node.engine.triton_model import TritonPythonModel\n'
)

_INT32: Final = pb.TYPE_INT32
_FP32: Final = pb.TYPE_FP32
_BOOL: Final = pb.TYPE_BOOL
_NATIVE_OPTIONS: Final = {
    "temperature": _FP32,
    "seed": pb.TYPE_INT64,
    "top_p": _FP32,
    "top_k": _INT32,
    "min_p": _FP32,
    "presence_penalty": _FP32,
    "frequency_penalty": _FP32,
    "top_logprobs": _INT32,
    NUMBER: pb.TYPE_INT64,
    CANCELS: pb.TYPE_INT64,
}


def slots(spec: EngineSpec) -> int:
    """Return how many sequences the engine works on at once."""
    return spec.concurrency + CANARY_SLOTS


def config_for(spec: EngineSpec, threads: int, reclaim_file: Path = Path()) -> pb.ModelConfig:
    """Return the Triton configuration of the spec's model; the others are for the CPU engine (see engine.reclaim)."""
    if spec.model_kind is ModelKind.EMBEDDING:
        return embedding.config_for(spec, threads)
    if spec.backend is Backend.TENSORRT_LLM:
        return _tensorrt_llm(spec)
    return _python(spec, threads, reclaim_file)


def write(root: Path, spec: EngineSpec, threads: int) -> Path:
    """Write the repository below `root` (made when absent) and return its directory."""
    repository = root / DIRECTORY
    version = repository / spec.model_name / "1"
    version.mkdir(parents=True, exist_ok=True)
    text = text_format.MessageToString(config_for(spec, threads, root / RECLAIM_FILE))
    (repository / spec.model_name / "config.pbtxt").write_text(text, encoding="utf-8")
    if spec.backend in CPU_BACKENDS:
        code = embedding.MODEL_FILE if spec.model_kind is ModelKind.EMBEDDING else MODEL_FILE
        (version / "model.py").write_text(code, encoding="utf-8")
    elif spec.backend is Backend.TENSORRT:
        embedding.link_plan(version, spec)
    return repository


def _python(spec: EngineSpec, threads: int, reclaim_file: Path) -> pb.ModelConfig:
    config = pb.ModelConfig(
        name=spec.model_name,
        backend="python",
        max_batch_size=0,
        input=[
            _input("input_ids", _INT32, [-1]),
            _input("max_tokens", _INT32, [1]),
            *(_input(name, kind, [1], optional=True) for name, kind in _NATIVE_OPTIONS.items()),
        ],
        output=[
            pb.ModelOutput(name="token_ids", data_type=_INT32, dims=[-1]),
            pb.ModelOutput(name="logprobs", data_type=_FP32, dims=[-1]),
            pb.ModelOutput(name="finish_reason", data_type=_INT32, dims=[1]),
            pb.ModelOutput(name="top_token_ids", data_type=_INT32, dims=[-1]),
            pb.ModelOutput(name="top_logprobs", data_type=_FP32, dims=[-1]),
        ],
        model_transaction_policy=pb.ModelTransactionPolicy(decoupled=True),
        instance_group=[pb.ModelInstanceGroup(count=1, kind=pb.ModelInstanceGroup.KIND_CPU)],
    )
    _set_parameters(
        config,
        {
            "artifact_dir": spec.model_path,
            "slots": str(slots(spec)),
            "max_sequence_tokens": str(spec.max_sequence_tokens),
            "threads": str(threads),
            "backend": spec.backend,
            "precision": spec.precision or Precision.FP32,
            PARAMETER_BATCHING: spec.batching.model_dump_json(by_alias=True),
            PARAMETER_FILE: str(reclaim_file),
            PARAMETER_INTERVAL: str(spec.reclaim_interval_seconds),
        },
    )
    return config


def _tensorrt_llm(spec: EngineSpec) -> pb.ModelConfig:
    config = pb.ModelConfig(
        name=spec.model_name,
        backend="tensorrtllm",
        max_batch_size=slots(spec),
        input=[
            _input("input_ids", _INT32, [-1], ragged=True),
            _scalar("input_lengths", _INT32, optional=False),
            _input("request_output_len", _INT32, [1]),
            _scalar("end_id", _INT32),
            _scalar("pad_id", _INT32),
            _scalar("temperature", _FP32),
            _scalar("runtime_top_k", _INT32),
            _scalar("runtime_top_p", _FP32),
            _scalar("presence_penalty", _FP32),
            _scalar("frequency_penalty", _FP32),
            _scalar("random_seed", pb.TYPE_UINT64),
            _scalar("return_log_probs", _BOOL),
            _input("streaming", _BOOL, [1], optional=True),
            _input("stop", _BOOL, [1], optional=True),
        ],
        output=[
            pb.ModelOutput(name="output_ids", data_type=_INT32, dims=[-1, -1]),
            pb.ModelOutput(name="sequence_length", data_type=_INT32, dims=[-1]),
            pb.ModelOutput(name="cum_log_probs", data_type=_FP32, dims=[-1]),
            pb.ModelOutput(name="output_log_probs", data_type=_FP32, dims=[-1, -1]),
        ],
        model_transaction_policy=pb.ModelTransactionPolicy(decoupled=True),
        # The backend places its own work on the GPUs; KIND_CPU is what its own examples say.
        instance_group=[pb.ModelInstanceGroup(count=1, kind=pb.ModelInstanceGroup.KIND_CPU)],
    )
    _set_parameters(
        config,
        {
            "gpt_model_type": "inflight_fused_batching",
            "gpt_model_path": spec.model_path,
            "batch_scheduler_policy": "guaranteed_no_evict",
            "kv_cache_free_gpu_mem_fraction": KV_CACHE_GPU_FRACTION,
            "enable_chunked_context": "true",
            "exclude_input_in_output": "true",
            "max_beam_width": "1",
            "gpu_device_ids": ",".join(str(index) for index in range(spec.gpus)),
        },
    )
    return config


def _input(
    name: str, data_type: int, dims: Sequence[int], *, optional: bool = False, ragged: bool = False
) -> pb.ModelInput:
    return pb.ModelInput(name=name, data_type=data_type, dims=dims, optional=optional, allow_ragged_batch=ragged)


def _scalar(name: str, data_type: int, *, optional: bool = True) -> pb.ModelInput:
    """Return an input that the client sends as [1] and the backend sees without that dimension."""
    scalar = _input(name, data_type, [1], optional=optional)
    scalar.reshape.CopyFrom(pb.ModelTensorReshape(shape=[]))
    return scalar


def _set_parameters(config: pb.ModelConfig, parameters: Mapping[str, str]) -> None:
    for name, value in parameters.items():
        config.parameters[name].string_value = value
