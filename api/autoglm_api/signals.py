"""`scaling.signals` of a pool: what a size may follow. Import it from `autoglm_api.spec`."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from autoglm_api.schema import Model, PositiveQuantity, cel, rules


class SignalType(StrEnum):
    """What a pool's size follows."""

    TOKEN_DEMAND = "TokenDemand"  # noqa: S105 - a signal, not a password
    QUEUED_QUERIES_PER_REPLICA = "QueuedQueriesPerReplica"
    CONCURRENCY = "Concurrency"
    KV_CACHE_USE = "KVCacheUse"
    GPU_MEMORY = "GPUMemory"
    GPU_UTILIZATION = "GPUUtilization"
    FIRST_TOKEN_LATENCY = "FirstTokenLatency"  # noqa: S105 - a signal, not a password
    PER_TOKEN_LATENCY = "PerTokenLatency"  # noqa: S105 - a signal, not a password
    PROMETHEUS = "Prometheus"
    KAFKA_LAG = "KafkaLag"


class MemorySource(StrEnum):
    """What GPUMemory measures."""

    KV_BLOCKS = "KVBlocks"
    DEVICE = "Device"


COUNTED: Final = (
    SignalType.QUEUED_QUERIES_PER_REPLICA,
    SignalType.CONCURRENCY,
    SignalType.PROMETHEUS,
    SignalType.KAFKA_LAG,
)
SHARES: Final = (SignalType.KV_CACHE_USE, SignalType.GPU_MEMORY, SignalType.GPU_UTILIZATION)
LATENCIES: Final = (SignalType.FIRST_TOKEN_LATENCY, SignalType.PER_TOKEN_LATENCY)


def _only(field: str, types: tuple[SignalType, ...]) -> dict[str, str]:
    listed = [str(one) for one in types]
    told = ", ".join(listed)
    return cel(f"!has(self.{field}) || self.type in {listed}", f"{field} is of use for {told} only; remove it", None)


def _needs(field: str, types: tuple[SignalType, ...], example: str) -> dict[str, str]:
    listed = [str(one) for one in types]
    return cel(
        f"!(self.type in {listed}) || has(self.{field})", f"{', '.join(listed)} needs {field}, such as {example}"
    )


_RULES: Final = rules(
    _needs("target", tuple(one for one in COUNTED if one is not SignalType.CONCURRENCY), '"4"'),
    _only("target", (*COUNTED, SignalType.TOKEN_DEMAND)),
    _only("targetPercent", SHARES),
    _needs("targetMilliseconds", LATENCIES, "200"),
    _only("targetMilliseconds", LATENCIES),
    _needs("query", (SignalType.PROMETHEUS,), "'sum(rate(http_requests_total[1m]))'"),
    _only("query", (SignalType.PROMETHEUS,)),
    _only("emptyMeansZero", (SignalType.PROMETHEUS,)),
    _needs("consumerGroup", (SignalType.KAFKA_LAG,), "shop-assistant"),
    _only("consumerGroup", (SignalType.KAFKA_LAG,)),
    _only("topic", (SignalType.KAFKA_LAG,)),
    _only("source", (SignalType.GPU_MEMORY,)),
)
_KAFKA_NAME: Final = r"^[a-zA-Z0-9._-]+$"


class Signal(Model):
    """One scaling input: what is measured, and how much of it one replica should carry."""

    type: Annotated[
        SignalType,
        Field(
            description="TokenDemand: tokens per second offered at the gateway, against what a replica is seen to do. "
            "QueuedQueriesPerReplica: queries waiting in the gateway per replica. Concurrency: queries in flight or "
            "waiting per replica. KVCacheUse, GPUMemory, GPUUtilization: use in percent. FirstTokenLatency, "
            "PerTokenLatency: 95th percentile; only ever grows the pool. Prometheus: a query of your own, its value "
            "per replica. KafkaLag: messages behind, per replica."
        ),
    ]
    name: Annotated[
        str,
        Field(
            max_length=40,
            pattern=r"^[a-z0-9]?([-a-z0-9]*[a-z0-9])?$",
            description="Tells signals of one type apart; may stay empty.",
        ),
    ] = ""
    target: Annotated[
        PositiveQuantity | None,
        Field(
            description="Value per replica that the pool is sized for, greater than 0. For TokenDemand: tokens per "
            "second that a replica is expected to do until that is learned. Concurrency without a target: 85 percent "
            "of concurrencyPerReplica, and only queries in flight count."
        ),
    ] = None
    target_percent: Annotated[
        int | None, Field(ge=1, le=100, description="Use that the pool is sized for, in percent; default 80.")
    ] = None
    target_milliseconds: Annotated[
        int | None, Field(ge=1, le=600000, description="Latency that the pool should keep, in milliseconds.")
    ] = None
    source: Annotated[
        MemorySource | None,
        Field(
            description="KVBlocks (default): blocks of the key-value cache in use. Device: memory of the GPU, which "
            "engines take in advance: it only ever grows the pool."
        ),
    ] = None
    query: Annotated[
        str | None,
        Field(min_length=1, max_length=2048, description="PromQL of an instant vector with exactly one element."),
    ] = None
    empty_means_zero: Annotated[
        bool | None, Field(description="Whether an empty answer of the query is 0 and not missing data; default false.")
    ] = None
    consumer_group: Annotated[
        str | None, Field(min_length=1, max_length=249, pattern=_KAFKA_NAME, description="Kafka consumer group.")
    ] = None
    topic: Annotated[
        str | None,
        Field(min_length=1, max_length=249, pattern=_KAFKA_NAME, description="Kafka topic; default: all of the group."),
    ] = None

    model_config = ConfigDict(json_schema_extra=_RULES)

    @property
    def key(self) -> str:
        """Name of the signal among the pool's: its type, with its name if it has one."""
        return f"{self.type}/{self.name}" if self.name else str(self.type)

    @model_validator(mode="after")
    def _target_is_given(self) -> Self:
        if self.type in COUNTED and self.type is not SignalType.CONCURRENCY and self.target is None:
            raise ValueError(f"{self.type} needs target")
        if self.type in LATENCIES and self.target_milliseconds is None:
            raise ValueError(f"{self.type} needs targetMilliseconds")
        if self.type is SignalType.PROMETHEUS and self.query is None:
            raise ValueError("Prometheus needs query")
        if self.type is SignalType.KAFKA_LAG and self.consumer_group is None:
            raise ValueError("KafkaLag needs consumerGroup")
        return self
