"""What a signal is worth while its data is missing: the outage ladder, one rung per age, one signal at a time.

| stage  | when                                                    | what it may do                                 |
|--------|---------------------------------------------------------|------------------------------------------------|
| Fresh  | a complete figure now                                   | raise and lower the size                       |
| Recent | the last complete figure is younger than RECENT_FOR     | its figure may raise the size, never lower it  |
| Held   | older, but missing for less than `fallback.afterSeconds`| what is still known may raise the size         |
| Lost   | missing for longer                                      | as Held; when all are lost, the fallback rules |

No data is never zero load: a reading that is missing, no number, negative or ambiguous climbs this ladder and becomes
no 0. A reading of which a part is known is never Lost, because it goes on proving that much load.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never

from autoglm_api.spec import Fallback, FallbackBehavior
from autoglm_operator.scaling.readings import REMEMBERED, AtLeast, Fresh, NoData, Problem, Reading

RECENT_FOR: Final = timedelta(seconds=60)
"""How long the last complete figure of a signal still speaks for it."""


class Stage(StrEnum):
    """How far a signal has gone from a complete figure."""

    FRESH = "Fresh"
    RECENT = "Recent"
    HELD = "Held"
    LOST = "Lost"


@dataclass(frozen=True, slots=True)
class SignalMemory:
    """What is remembered of one signal between two decisions."""

    last: Fresh | None = None
    """Its last complete figure."""
    at: datetime | None = None
    """When that was read."""
    failing_since: datetime | None = None
    """Since when not even a part of the figure is known; None while it is complete."""


@dataclass(frozen=True, slots=True)
class Assessed:
    """A signal's reading as a decision may use it."""

    reading: Reading
    """Fresh only at stage Fresh; whatever else is known is a lower bound."""
    stage: Stage
    age: timedelta | None
    """Age of the last complete figure; None when there never was one."""
    memory: SignalMemory


def assess(reading: Reading, memory: SignalMemory, now: datetime, *, lost_after: timedelta) -> Assessed:
    """Return what the reading is worth now; `lost_after` (> 0) counts from the first failure, not from the last figure.

    So time in which nobody asked (the operator was away) is no outage of the signal.
    """
    sound, memory = _sound(reading), _of_the_past(memory, now)
    if isinstance(sound, Fresh):
        return Assessed(sound, Stage.FRESH, timedelta(0), SignalMemory(last=sound, at=now))
    since = now if isinstance(sound, AtLeast) else memory.failing_since or now
    age = None if memory.at is None else now - memory.at
    remembered = SignalMemory(memory.last, memory.at, since)
    stage = _stage(age, now - since, lost_after)
    usable = _raised(sound, memory.last) if stage is Stage.RECENT else sound
    return Assessed(usable, stage, age, remembered)


def fallback_size(fallback: Fallback, current: int, minimum: int, maximum: int) -> int:
    """Return the size of a pool all of whose signals are lost, within the bounds.

    | behavior        | size                            |
    |-----------------|---------------------------------|
    | Static          | `replicas`                      |
    | Current         | as it is                        |
    | CurrentIfHigher | as it is, `replicas` if more    |
    | CurrentIfLower  | as it is, `replicas` if less    |

    Without `replicas` minReplicas counts, but no running pool falls asleep for want of data.
    """
    replicas = (minimum or min(current, 1)) if fallback.replicas is None else fallback.replicas
    return min(max(_chosen(fallback.behavior, current, replicas), minimum), maximum)


def held_size(fallback: Fallback, current: int, minimum: int, maximum: int) -> int:
    """Return the size of a pool none of whose signals can be used while the fallback is not due yet.

    Never less than it is; more only if that is what it would fall back to.
    """
    return min(max(current, fallback_size(fallback, current, minimum, maximum)), maximum)


def _chosen(behavior: FallbackBehavior, current: int, replicas: int) -> int:
    match behavior:
        case FallbackBehavior.STATIC:
            return replicas
        case FallbackBehavior.CURRENT:
            return current
        case FallbackBehavior.CURRENT_IF_HIGHER:
            return max(current, replicas)
        case FallbackBehavior.CURRENT_IF_LOWER:
            return min(current, replicas)
    assert_never(behavior)


def _sound(reading: Reading) -> Reading:
    if isinstance(reading, NoData) or reading.milli >= 0:
        return reading
    return NoData(Problem.NEGATIVE, f"{reading.milli} thousandths")


def _of_the_past(memory: SignalMemory, now: datetime) -> SignalMemory:
    """Forget what would be known from the future: a clock was set back while the operator was away."""
    known = (memory.at, memory.failing_since)
    return SignalMemory() if any(moment is not None and moment > now for moment in known) else memory


def _stage(age: timedelta | None, failing: timedelta, lost_after: timedelta) -> Stage:
    if age is not None and age < RECENT_FOR:
        return Stage.RECENT
    return Stage.LOST if failing >= lost_after else Stage.HELD


def _raised(reading: AtLeast | NoData, last: Fresh | None) -> Reading:
    """Return the last complete figure as a lower bound, or the known part of today's if that is more."""
    known = reading.milli if isinstance(reading, AtLeast) else -1
    if last is None or last.milli <= known:
        return reading
    return AtLeast(last.milli, reading.problem, reading.detail, REMEMBERED)
