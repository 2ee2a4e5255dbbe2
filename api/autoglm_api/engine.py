"""`engine` of a pool: how its model is run. Import it from `autoglm_api.spec`."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from autoglm_api.schema import Model, list_map


class Backend(StrEnum):
    """The engine that runs inside Triton."""

    ONNX_RUNTIME = "ONNXRuntime"
    TENSORRT_LLM = "TensorRTLLM"
    TENSORRT = "TensorRT"


class EngineMemory(Model):
    """What the engine does about memory that it holds but does not use."""

    reclaim_interval_seconds: Annotated[
        int,
        Field(
            ge=5,
            le=86400,
            description="How often an idle engine gives memory back that it holds but does not use, in seconds; under "
            "memory pressure also a busy one, at most this often.",
        ),
    ] = 60


class Bucket(Model):
    """Queries of like length."""

    max_tokens: Annotated[
        int, Field(ge=1, le=131072, description="Longest prompt of the bucket, in tokens; a longer one is of the next.")
    ]
    max_batch_size: Annotated[
        int, Field(ge=1, le=1024, description="Queries of this bucket that one replica works on at once.")
    ]


DEFAULT_BUCKETS: Final = [
    Bucket(max_tokens=511, max_batch_size=32),
    Bucket(max_tokens=1024, max_batch_size=16),
    Bucket(max_tokens=8192, max_batch_size=8),
]


class Batching(Model):
    """Which queries the CPU engine works on together; a GPU engine batches by its own rules."""

    buckets: Annotated[
        list[Bucket],
        Field(
            min_length=1,
            max_length=8,
            description="How many queries at once, by length of the prompt; the longest bucket also takes what is "
            "longer. concurrencyPerReplica bounds all of them together.",
            json_schema_extra=list_map("maxTokens"),
        ),
    ] = DEFAULT_BUCKETS
    max_queue_delay_microseconds: Annotated[
        int,
        Field(
            ge=0,
            le=1000000,
            description="How long a query may wait for others to be read together with; 0 starts each at once.",
        ),
    ] = 0
    max_step_tokens: Annotated[
        int,
        Field(
            ge=16,
            le=131072,
            description="Prompt tokens that are read before running replies get their next token; a longer prompt is "
            "read in parts. Smaller: steadier replies. Larger: earlier first tokens.",
        ),
    ] = 512
    adaptive: Annotated[
        bool,
        Field(
            description="Whether a step reads fewer prompt tokens than maxStepTokens where that keeps the pause of "
            "running replies below targetPauseMilliseconds."
        ),
    ] = True
    target_pause_milliseconds: Annotated[
        int, Field(ge=1, le=60000, description="How long running replies may stand still while prompts are read.")
    ] = 50


class Engine(Model):
    """How the model is run."""

    backend: Annotated[
        Backend,
        Field(
            description="ONNXRuntime runs the CPU engine (gpusPerReplica 0). On GPUs TensorRTLLM runs Generative models "
            "and TensorRT runs Embedding models."
        ),
    ] = Backend.ONNX_RUNTIME
    gpus_per_replica: Annotated[
        int, Field(ge=0, le=16, description="GPUs of one replica; 0 selects the CPU engine.")
    ] = 0
    max_sequence_tokens: Annotated[
        int, Field(ge=16, le=131072, description="Longest sequence (prompt and answer together), in tokens.")
    ] = 512
    batching: Annotated[Batching, Field(description="Which queries are worked on together.")] = Batching()
    memory: Annotated[EngineMemory, Field(description="What is done about unused memory.")] = EngineMemory()
