"""When a pool with minReplicas 0 goes to sleep, when it wakes, and when it is left asleep.

| replicas | minimum | what is seen                                             | answer                              |
|----------|---------|----------------------------------------------------------|-------------------------------------|
| any      | > 0     | anything                                                 | none: the bounds rule               |
| > 1      | 0       | anything                                                 | not below 1                         |
| 1        | 0       | less than `idleSeconds` of proven silence                | not below 1                         |
| 1        | 0       | `idleSeconds` of proven silence                          | 0, ScaledToZero                     |
| 0        | 0       | nothing waits, or nothing is known                       | 0, ScaledToZero                     |
| 0        | 0       | something waits                                          | `activationReplicas`, Woken         |
| 0        | 0       | it ran, and somebody else scaled it to 0                 | 0, ManualZero, whatever waits       |

Silence is proven by complete readings only: nothing offered, queued or in flight, and 0 in every query of one's own.
Like the HPA's ScaledToZero (kubernetes 1.36), a 0 that the operator did not decide lasts until somebody scales up or
raises the minimum. A pool that is at 0 when it is first seen is asleep, not stopped: its first query must be served.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from autoglm_api.spec import Scaling, SignalType
from autoglm_api.status import Reason
from autoglm_operator.scaling.model import NOT_READ, Load
from autoglm_operator.scaling.outage import RECENT_FOR
from autoglm_operator.scaling.readings import Fresh, NoData, Reading

ASKED_FOR: Final = timedelta(seconds=60)
"""How long after it was last decided a 0 may still show up in the cluster."""
_WORK: Final = frozenset({SignalType.PROMETHEUS, SignalType.KAFKA_LAG})


@dataclass(frozen=True, slots=True)
class ZeroState:
    """What is remembered of one pool's sleep."""

    at: datetime | None = None
    """When the pool was last looked at."""
    idle_since: datetime | None = None
    """Since when it has run in silence that was proven without a gap."""
    asked_at: datetime | None = None
    """When 0 was last decided."""
    awake: bool = False
    """Whether the pool ran when it was last looked at."""
    manual: bool = False
    """Whether somebody else scaled it to 0."""


class Sleep(NamedTuple):
    """What sleep has to say about the size."""

    size: int | None
    """The size, before every signal; None: the signals decide. On waking they may ask for more."""
    floor: int
    """The signals must not ask for less."""
    reason: Reason | None


def slumber(
    current: int, load: Load, scaling: Scaling, minimum: int, state: ZeroState, now: datetime
) -> tuple[Sleep, ZeroState]:
    """Return what sleep says about a pool of `current` replicas whose smallest size is `minimum` now."""
    readings = tuple(_readings(load, scaling))
    idle = timedelta(seconds=scaling.zero.idle_seconds)
    state = _looked_at(state, readings, current, idle, now)
    if minimum > 0:
        return Sleep(None, minimum, None), replace(state, manual=False)
    if current == 0:
        sleep = _asleep(readings, scaling, manual=state.manual)
    elif current == 1 and _idle_for(state, now) >= idle:
        sleep = Sleep(0, 0, Reason.SCALED_TO_ZERO)
    else:
        sleep = Sleep(None, 1, None)
    return sleep, replace(state, asked_at=now) if sleep.size == 0 and not state.manual else state


def _readings(load: Load, scaling: Scaling) -> Iterator[Reading]:
    yield from (load.queued, load.in_flight, load.offered_tokens)
    for signal in scaling.signals:
        if signal.type in _WORK:
            yield load.signals.get(signal.key, NOT_READ)


def _looked_at(
    state: ZeroState, readings: tuple[Reading, ...], current: int, idle: timedelta, now: datetime
) -> ZeroState:
    silent = all(isinstance(reading, Fresh) and reading.milli == 0 for reading in readings)
    looked = state.at is not None and timedelta(0) <= now - state.at < RECENT_FOR
    since = state.idle_since if looked and state.awake and state.idle_since is not None else now
    manual = current == 0 and (state.manual or (state.awake and not _is_ours(state, idle, now)))
    return ZeroState(now, since if silent else None, state.asked_at, awake=current > 0, manual=manual)


def _is_ours(state: ZeroState, idle: timedelta, now: datetime) -> bool:
    """Tell whether a 0 that has come up is the operator's: decided just now, or due before its memory was lost.

    An operator that dies may have put the pool to sleep after what it remembers; a query must still wake that pool.
    """
    return (state.asked_at is not None and now - state.asked_at <= ASKED_FOR) or _idle_for(state, now) >= idle


def _idle_for(state: ZeroState, now: datetime) -> timedelta:
    return timedelta(0) if state.idle_since is None else now - state.idle_since


def _asleep(readings: tuple[Reading, ...], scaling: Scaling, *, manual: bool) -> Sleep:
    if manual:
        return Sleep(0, 0, Reason.MANUAL_ZERO)
    if any(not isinstance(reading, NoData) and reading.milli > 0 for reading in readings):
        size = min(scaling.zero.activation_replicas, scaling.max_replicas)
        return Sleep(size, size, Reason.WOKEN)
    return Sleep(0, 0, Reason.SCALED_TO_ZERO)
