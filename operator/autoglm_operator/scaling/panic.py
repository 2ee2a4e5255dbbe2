"""Panic: a burst that the ordinary path would meet too late, told from the shortest window (after Knative's KPA).

| entered when                                                   | and                                       |
|----------------------------------------------------------------|-------------------------------------------|
| the burst needs FACTOR times what is ready                      | more than what is ready and starting       |
| the burst needs GUARD times what is ready and starting          | queries wait                              |

In panic the pool grows past stabilisation and rates (never past its bounds), and does not shrink until the burst has
been over for a stable window or a start-up time, whichever is longer.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

FACTOR: Final = 2.0
GUARD: Final = 1.25
STABLE: Final = timedelta(seconds=60)
CONFIRMATIONS: Final = 2
"""So many decisions in a row must see the burst: one odd sample is none."""


@dataclass(frozen=True, slots=True)
class PanicState:
    """What is remembered of a burst."""

    seen: int = 0
    """Decisions in a row that have seen it."""
    until: datetime | None = None
    size: int = 0
    """Largest size that the burst has asked for."""


class Burst(NamedTuple):
    """What the shortest window says, in replicas at full use."""

    needs: float
    size: int
    """What it would be sized to."""
    waits: bool


def after(
    state: PanicState, burst: Burst | None, *, ready: int, supply: int, hold: timedelta, now: datetime
) -> PanicState:
    """Return the state after a decision; `supply` is what is ready or starting, `hold` the start-up time."""
    if state.until is not None and now >= state.until:
        state = PanicState(state.seen)
    if burst is None or not _is_burst(burst, ready, supply):
        return PanicState(0, state.until, state.size)
    seen = min(state.seen + 1, CONFIRMATIONS)
    if seen < CONFIRMATIONS and state.until is None:
        return PanicState(seen, None, 0)
    return PanicState(seen, now + max(STABLE, hold), max(state.size, burst.size))


def _is_burst(burst: Burst, ready: int, supply: int) -> bool:
    if burst.needs <= supply:
        return False
    return burst.needs >= FACTOR * max(ready, 1) or (burst.waits and burst.needs > GUARD * supply)
