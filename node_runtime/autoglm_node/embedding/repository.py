"""Triton's configuration of an embedding model.

TensorRT's is checked by round trip and by loading it with the Python backend swapped in, not by running it on a GPU. It
needs a plan with one optimisation profile for each bucket, in the order of the buckets, and inputs `input_ids` and
`attention_mask` INT32 [texts, bucket].
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tritonclient.grpc import model_config_pb2 as pb

from autoglm_api.config import EngineSpec
from autoglm_api.spec import Backend, Bucket
from autoglm_node.embedding.words import vector_format
from autoglm_node.engine.packing import PARAMETER_BATCHING

MASK: Final = "attention_mask"
PLAN_FILE: Final = "model.plan"
MODEL_FILE: Final = (
    '"""Written by the node runtime."""\n\nfrom autoglm_node.embedding.triton_model import TritonPythonModel\n'
)
# Between arrivals of one burst; Triton waits no longer where a batch is full.
_DELAY_MICROSECONDS: Final = 2000


def config_for(spec: EngineSpec, threads: int) -> pb.ModelConfig:
    """Return the Triton configuration of the spec's model; the artefact says how long its vectors are."""
    dimensions = vector_format(Path(spec.model_path)).dimensions
    if spec.backend is Backend.TENSORRT:
        return _tensorrt(spec, dimensions)
    config = pb.ModelConfig(
        name=spec.model_name,
        backend="python",
        max_batch_size=0,
        input=[_input("input_ids", [-1]), _input("lengths", [-1])],
        output=[pb.ModelOutput(name="embedding", data_type=pb.TYPE_FP32, dims=[-1, dimensions])],
        model_transaction_policy=pb.ModelTransactionPolicy(decoupled=True),
        instance_group=[pb.ModelInstanceGroup(count=1, kind=pb.ModelInstanceGroup.KIND_CPU)],
    )
    for name, value in (
        ("artifact_dir", spec.model_path),
        ("threads", str(threads)),
        (PARAMETER_BATCHING, spec.batching.model_dump_json(by_alias=True)),
    ):
        config.parameters[name].string_value = value
    return config


def link_plan(version: Path, spec: EngineSpec) -> None:
    """Put the artefact's plan where Triton looks for it."""
    plan = version / PLAN_FILE
    plan.unlink(missing_ok=True)
    plan.symlink_to(Path(spec.model_path) / PLAN_FILE)


def buckets_of(spec: EngineSpec) -> list[Bucket]:
    """Return the buckets that the model's longest text can fall into, ascending; the last one ends there."""
    ascending = sorted(spec.batching.buckets, key=lambda bucket: bucket.max_tokens)
    # The longest bucket also takes what is longer.
    below = [bucket for bucket in ascending[:-1] if bucket.max_tokens < spec.max_sequence_tokens]
    last = ascending[len(below)]
    return [*below, last.model_copy(update={"max_tokens": spec.max_sequence_tokens})]


def edge_of(tokens: int, buckets: Sequence[Bucket]) -> int:
    """Return the length that a text of so many tokens is padded to: its bucket's longest."""
    return next((bucket.max_tokens for bucket in buckets if tokens <= bucket.max_tokens), buckets[-1].max_tokens)


def _tensorrt(spec: EngineSpec, dimensions: int) -> pb.ModelConfig:
    buckets = buckets_of(spec)
    delay = spec.batching.max_queue_delay_microseconds or _DELAY_MICROSECONDS
    return pb.ModelConfig(
        name=spec.model_name,
        backend="tensorrt",
        platform="tensorrt_plan",  # by this Triton knows that profiles may be named
        max_batch_size=max(bucket.max_batch_size for bucket in buckets),
        input=[_input("input_ids", [-1]), _input(MASK, [-1])],
        output=[pb.ModelOutput(name="embedding", data_type=pb.TYPE_FP32, dims=[dimensions])],
        dynamic_batching=pb.ModelDynamicBatching(
            preferred_batch_size=sorted({bucket.max_batch_size for bucket in buckets}),
            max_queue_delay_microseconds=delay,
        ),
        instance_group=[
            pb.ModelInstanceGroup(
                count=1,
                kind=pb.ModelInstanceGroup.KIND_GPU,
                gpus=[gpu],
                profile=[str(number) for number in range(len(buckets))],
            )
            for gpu in range(spec.gpus)
        ],
    )


def _input(name: str, dims: Sequence[int]) -> pb.ModelInput:
    return pb.ModelInput(name=name, data_type=pb.TYPE_INT32, dims=dims)
