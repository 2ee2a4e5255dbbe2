"""Pools and loads for scaling tests."""

from typing import Any

from autoglm_api.spec import Behavior, Scaling, Signal, SignalType
from autoglm_operator.scaling.model import Load, PoolSnapshot
from autoglm_operator.scaling.readings import Fresh, NoData, Problem, Reading

NOTHING = NoData(Problem.MISSING, "no series")
BLIND = Load(NOTHING, NOTHING)
COUNTED = [
    Signal(type=SignalType.QUEUED_QUERIES_PER_REPLICA, target="4"),
    Signal(type=SignalType.CONCURRENCY, target="6"),
]


def fresh_load(queued: float = 0, in_flight: float = 0) -> Load:
    """Return a fully known load, in queries."""
    return Load(Fresh(round(queued * 1000)), Fresh(round(in_flight * 1000)))


def half_load(in_flight: Reading) -> Load:
    """Return a load of which the queue is unknown."""
    return Load(NOTHING, in_flight)


def snapshot(current: int, load: Load, *, ready: int | None = None, rolling_out: bool = False) -> PoolSnapshot:
    """Return a pool, all of whose replicas are ready unless told otherwise."""
    return PoolSnapshot(current, current if ready is None else ready, rolling_out, load)


def scaling(low: int, high: int, behavior: Behavior | None = None, **fields: Any) -> Scaling:
    """Return bounds with two signals without a model: 4 queued, 6 concurrent per replica."""
    fields.setdefault("signals", COUNTED)
    if behavior is not None:
        fields["behavior"] = behavior
    return Scaling(min_replicas=low, max_replicas=high, **fields)
