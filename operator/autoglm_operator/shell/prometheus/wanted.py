"""What the pools' signals need to be asked for, beyond the gateways' load."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from autoglm_api.spec import MemorySource, Signal, SignalType


class Kind(StrEnum):
    """Figures of replicas, each read for all pools by one query of its own."""

    KV_CACHE = "KVCache"
    GPU_UTILIZATION = "GPUUtilization"
    GPU_MEMORY = "GPUMemory"
    FIRST_TOKEN = "FirstToken"  # noqa: S105 - a figure, not a password
    PER_TOKEN = "PerToken"  # noqa: S105 - a figure, not a password


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a tick asks of Prometheus; equal queries of several pools are asked once."""

    kinds: frozenset[Kind] = frozenset()
    groups: frozenset[str] = frozenset()
    """Kafka consumer groups."""
    queries: frozenset[str] = frozenset()
    """Users' own PromQL."""


NOTHING = Wanted()
_KINDS = {
    SignalType.KV_CACHE_USE: Kind.KV_CACHE,
    SignalType.GPU_UTILIZATION: Kind.GPU_UTILIZATION,
    SignalType.FIRST_TOKEN_LATENCY: Kind.FIRST_TOKEN,
    SignalType.PER_TOKEN_LATENCY: Kind.PER_TOKEN,
}


def wanted_by(signals: Iterable[Signal]) -> Wanted:
    """Return what these signals need."""
    listed = list(signals)
    return Wanted(
        kinds=frozenset(kind for signal in listed if (kind := kind_of(signal)) is not None),
        groups=frozenset(signal.consumer_group for signal in listed if signal.consumer_group is not None),
        queries=frozenset(signal.query for signal in listed if signal.query is not None),
    )


def kind_of(signal: Signal) -> Kind | None:
    """Return which figure of the replicas a signal follows; None for one that follows something else."""
    if signal.type is SignalType.GPU_MEMORY:
        return Kind.GPU_MEMORY if signal.source is MemorySource.DEVICE else Kind.KV_CACHE
    return _KINDS.get(signal.type)
