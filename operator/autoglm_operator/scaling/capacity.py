"""What one replica can do, in thousandths of tokens/s: expected by the spec until the pool has shown it.

Two limits are learned, each as the median of its last observations, and the smaller one counts:

| limit   | observed while                                   | observation                                        |
|---------|--------------------------------------------------|----------------------------------------------------|
| compute | queries have waited for a whole window           | tokens/s served / ready replicas                   |
| memory  | the key-value cache is 15 % to 85 % full         | tokens/s served / ready replicas, at its target    |

Only a pool that is saturated, or whose cache is measured, teaches. What it taught about compute stays while the pool
idles, and fades in work: while the replicas work at BUSY_PERCENT or more of it and nothing waits, the gap to the spec's
expectation (or the figure itself, without one) closes by FADES_PER_HOUR. So a lesson learned from replicas that half
hung is forgotten, and a true one is taught again when the shrinking pool saturates.
An observation that disagrees with the model by more than MODEL_ERROR makes the capacity uncertain for a while: an
uncertain capacity lets no pool shrink, and it never grows or shrinks one itself (the idea is llm-d's
workload-variant-autoscaler).
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median_low
from typing import Final, NamedTuple

from autoglm_operator.scaling.model import Load
from autoglm_operator.scaling.readings import Fresh, Reading

WINDOW: Final = timedelta(seconds=60)
"""Window of the served rate: what is observed within it belongs together."""
SPACING: Final = timedelta(seconds=15)
REMEMBERED: Final = 10
ENOUGH: Final = 3
"""So many observations outweigh the spec's expectation."""
MODEL_ERROR_PERCENT: Final = 15
UNCERTAIN_FOR: Final = timedelta(seconds=120)
BUSY_PERCENT: Final = 50
FADES_PER_HOUR: Final = 0.1
_KV_PERCENT: Final = (15, 85)


class Supply(NamedTuple):
    """How many replicas were ready at a moment."""

    at: datetime
    ready: int


@dataclass(frozen=True, slots=True)
class CapacityState:
    """What is remembered of a pool's replicas; bounded by WINDOW and REMEMBERED."""

    supplies: tuple[Supply, ...] = ()
    waiting_since: datetime | None = None
    """Since when queries have waited without a pause."""
    compute: tuple[int, ...] = ()
    memory: tuple[int, ...] = ()
    observed_at: datetime | None = None
    uncertain_until: datetime | None = None


class Capacity(NamedTuple):
    """Thousandths of tokens/s that one replica can do."""

    milli: int
    is_learned: bool
    is_uncertain: bool


def capacity(state: CapacityState, expected_milli: int | None, now: datetime) -> Capacity | None:
    """Return what a replica can do; None when the spec does not say and nothing was observed."""
    compute = _compute(state.compute, expected_milli)
    if compute is None:
        return None
    limits = [compute, median_low(state.memory)] if len(state.memory) >= ENOUGH else [compute]
    uncertain = state.uncertain_until is not None and now < state.uncertain_until
    return Capacity(max(1, min(limits)), bool(state.compute or state.memory), uncertain)


def observed(
    state: CapacityState, load: Load, ready: int, expected_milli: int | None, kv_percent: int | None, now: datetime
) -> CapacityState:
    """Return the memory with what this moment shows; `kv_percent` is the share that the pool's cache is sized for."""
    state = _with_supply(state, load, ready, now)
    each = _served_by_each(state, load)
    if each is None or (state.observed_at is not None and now - state.observed_at < SPACING):
        return state
    if _is_saturated(state, now):
        return _with_compute(state, each, expected_milli, now)
    state = _faded(state, each, load, expected_milli, now)
    return state if kv_percent is None else _with_memory(state, each, load, kv_percent, now)


def _compute(observations: tuple[int, ...], expected_milli: int | None) -> int | None:
    if len(observations) >= ENOUGH or (observations and expected_milli is None):
        return median_low(observations)
    return expected_milli


def _with_supply(state: CapacityState, load: Load, ready: int, now: datetime) -> CapacityState:
    kept = tuple(supply for supply in state.supplies if supply.at > now - WINDOW)
    waits = _waits(load, ready)
    # Unknown is neither: a gap of data must not make a window look saturated.
    since = (state.waiting_since or now) if waits else None
    return replace(state, supplies=(*kept, Supply(now, ready)), waiting_since=since)


def _waits(load: Load, ready: int) -> bool:
    """Tell whether more than a second's work waits: a query in passing is no queue."""
    if isinstance(load.queued_tokens, Fresh) and isinstance(load.served_tokens, Fresh):
        return load.queued_tokens.milli > max(load.served_tokens.milli, 1)
    return isinstance(load.queued, Fresh) and load.queued.milli > 1000 * max(ready, 1)


def _served_by_each(state: CapacityState, load: Load) -> int | None:
    mean = sum(supply.ready for supply in state.supplies) / len(state.supplies)
    if not isinstance(load.served_tokens, Fresh) or mean <= 0 or load.served_tokens.milli <= 0:
        return None
    return int(load.served_tokens.milli / mean)


def _is_saturated(state: CapacityState, now: datetime) -> bool:
    return state.waiting_since is not None and now - state.waiting_since >= WINDOW


def _with_compute(state: CapacityState, each: int, expected_milli: int | None, now: datetime) -> CapacityState:
    model = _compute(state.compute, expected_milli)
    wrong = model is not None and abs(each - model) * 100 > MODEL_ERROR_PERCENT * model
    return replace(
        state,
        compute=(*state.compute, each)[-REMEMBERED:],
        observed_at=now,
        uncertain_until=now + UNCERTAIN_FOR if wrong else state.uncertain_until,
    )


def _faded(state: CapacityState, each: int, load: Load, expected_milli: int | None, now: datetime) -> CapacityState:
    """Return the state with a compute limit that is less certain, after SPACING of work that it did not limit."""
    model = _compute(state.compute, expected_milli)
    if not state.compute or model is None or not _is_calm(load) or each * 100 < BUSY_PERCENT * model:
        return state
    share = FADES_PER_HOUR * SPACING / timedelta(hours=1)
    compute = tuple(one + _step(one, expected_milli, share) for one in state.compute)
    return replace(state, compute=compute, observed_at=now)


def _step(learned: int, expected_milli: int | None, share: float) -> int:
    """Return what a lesson gains: never beyond what is expected, and nothing if it is above that."""
    gap = learned if expected_milli is None else expected_milli - learned
    return max(0, min(gap, math.ceil(gap * share)))


def _is_calm(load: Load) -> bool:
    return isinstance(load.queued_tokens, Fresh) and load.queued_tokens.milli == 0


def _with_memory(state: CapacityState, each: int, load: Load, kv_percent: int, now: datetime) -> CapacityState:
    used = _kv_use(load)
    if not isinstance(used, Fresh) or not _KV_PERCENT[0] * 1000 <= used.milli <= _KV_PERCENT[1] * 1000:
        return state
    at_target = each * kv_percent * 1000 // used.milli
    return replace(state, memory=(*state.memory, at_target)[-REMEMBERED:], observed_at=now)


def _kv_use(load: Load) -> Reading | None:
    uses = [reading for key, reading in load.signals.items() if key.startswith("KVCacheUse")]
    return uses[0] if uses else None
