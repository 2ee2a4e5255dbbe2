"""`engine` of a pool: how its model is run. Import it from `autoglm_api.spec`."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from autoglm_api.schema import Model, cel, list_map, rules


class Backend(StrEnum):
    """The engine that runs inside Triton."""

    ONNX_RUNTIME = "ONNXRuntime"
    PYTORCH = "PyTorch"
    TENSORRT_LLM = "TensorRTLLM"
    TENSORRT = "TensorRT"


class Precision(StrEnum):
    """The numbers that a model is worked out in."""

    FP32 = "FP32"
    BF16 = "BF16"
    FP16 = "FP16"
    FP8 = "FP8"
    INT8 = "INT8"
    INT4 = "INT4"


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
            description="Whether the tokens of a step, the queries at once and the queue delay follow load and speed, "
            "so that both targets below are met where they can be; the settings above are then upper bounds."
        ),
    ] = True
    target_pause_milliseconds: Annotated[
        int, Field(ge=1, le=60000, description="How long a running reply may wait for its next token.")
    ] = 50
    target_first_token_milliseconds: Annotated[
        int, Field(ge=1, le=600000, description="How long a query may wait inside the engine for its first token.")
    ] = 1000


_ENGINE_RULES: Final = rules(
    cel(
        "!has(self.precision) || self.gpusPerReplica > 0 || !(self.precision in ['FP16', 'FP8', 'INT4'])",
        "the CPU engine has no FP16, FP8 or INT4: set engine.precision to FP32, BF16 or INT8",
        ".precision",
    ),
    cel(
        "!has(self.precision) || self.backend != 'ONNXRuntime' || self.precision != 'BF16'",
        "ONNXRuntime has no BF16 on a CPU: use backend PyTorch, or precision FP32 or INT8",
        ".precision",
    ),
    cel(
        "!has(self.precision) || self.backend != 'PyTorch' || self.precision != 'INT8'",
        "PyTorch has no INT8 whose replies are the same in every batch: use backend ONNXRuntime, "
        "or precision FP32 or BF16",
        ".precision",
    ),
    cel(
        "self.backend != 'PyTorch' || self.gpusPerReplica == 0",
        "PyTorch is a CPU engine: set engine.gpusPerReplica to 0, or use backend TensorRTLLM",
    ),
)


class Engine(Model):
    """How the model is run."""

    backend: Annotated[
        Backend,
        Field(
            description="ONNXRuntime runs the CPU engine (gpusPerReplica 0), PyTorch does so in a larger image. On "
            "GPUs TensorRTLLM runs Generative models and TensorRT runs Embedding models."
        ),
    ] = Backend.ONNX_RUNTIME
    precision: Annotated[
        Precision | None,
        Field(
            description="Numbers to compute in. CPU: FP32 (default), INT8 with ONNXRuntime, BF16 with PyTorch. GPU: "
            "what the engine was built for; a worker whose engine was built for something else does not start."
        ),
    ] = None
    gpus_per_replica: Annotated[
        int, Field(ge=0, le=16, description="GPUs of one replica; 0 selects the CPU engine.")
    ] = 0
    max_sequence_tokens: Annotated[
        int, Field(ge=16, le=131072, description="Longest sequence (prompt and answer together), in tokens.")
    ] = 512
    batching: Annotated[Batching, Field(description="Which queries are worked on together.")] = Batching()
    memory: Annotated[EngineMemory, Field(description="What is done about unused memory.")] = EngineMemory()

    model_config = ConfigDict(json_schema_extra=_ENGINE_RULES)
