"""How many tokens/s a pool must carry one start-up time from now, with a margin that its own past has earned.

The rate that arrives now stands for the rate then (persistence: on real traffic it beats seasons and trends), plus how
much the rate has lately risen within one start-up time, plus what waits and will still wait then, spread over a while.
All figures are thousandths of tokens/s, or of tokens.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from autoglm_operator.scaling.model import Load
from autoglm_operator.scaling.readings import Fresh, NoData

GROW_SHARE: Final = 0.85
"""A pool that grows is sized to use this share of its capacity."""
SHRINK_SHARE: Final = 0.70
"""A pool shrinks only to a size that would use at most this share."""
DRAIN_SECONDS: Final = 120.0
"""What will still wait when new replicas are ready is to be worked off within this time."""
MEMORY: Final = timedelta(seconds=1200)
SPACING: Final = timedelta(seconds=15)
RISE_RANK: Final = 0.90
"""This share of the rises of the past lies within the margin."""
ENOUGH: Final = 8
"""Fewer rises than this earn no margin."""


class Level(NamedTuple):
    """The offered rate at a moment, over the long window."""

    at: datetime
    milli: int


@dataclass(frozen=True, slots=True)
class DemandState:
    """The rates of the last MEMORY, SPACING apart: at most 80."""

    levels: tuple[Level, ...] = ()


class Need(NamedTuple):
    """What a pool must carry."""

    level: int
    """What arrives now."""
    margin: int
    """What may come on top of it within one start-up time."""
    backlog: int
    """What waits, as a rate."""

    @property
    def milli(self) -> int:
        """All of it."""
        return self.level + self.margin + self.backlog


class Supply(NamedTuple):
    """What the pool can do now and soon."""

    ready: int
    starting: int
    startup_seconds: float


def remembered(state: DemandState, load: Load, now: datetime) -> DemandState:
    """Return the state with the offered rate of now, if that is known in full."""
    offered, levels = load.offered_tokens, state.levels
    if not isinstance(offered, Fresh) or (levels and now - levels[-1].at < SPACING):
        return state
    kept = tuple(level for level in levels if level.at >= now - MEMORY)
    return DemandState((*kept, Level(now, offered.milli)))


def need(load: Load, state: DemandState, supply: Supply, capacity_milli: int) -> Need | None:
    """Return what the pool must carry; None without an offered rate. A lower bound of the load gives a lower bound."""
    if isinstance(load.offered_tokens, NoData):
        return None
    level = load.offered_tokens.milli
    margin = _usual_rise(state.levels, supply.startup_seconds)
    waiting = 0 if isinstance(load.queued_tokens, NoData) else load.queued_tokens.milli
    return Need(level, margin, _backlog(waiting, level, supply, capacity_milli))


def size_for(milli: int, capacity_milli: int, share: float) -> int:
    """Return the fewest replicas that carry the rate at that share of their capacity.

    >>> size_for(8_500_000, 1_000_000, 0.85), size_for(8_500_001, 1_000_000, 0.85), size_for(0, 1_000_000, 0.85)
    (10, 11, 0)
    """
    return math.ceil(round(milli / (capacity_milli * share), 6))


def _backlog(waiting: int, level: int, supply: Supply, capacity_milli: int) -> int:
    """Return the rate that works off what will still wait when a replica that is asked for now is ready."""
    if waiting <= 0:
        return 0
    soon = supply.ready + supply.starting / 2
    left = waiting + (level - soon * capacity_milli) * supply.startup_seconds
    return int(max(0.0, min(left, 2.0 * waiting)) / DRAIN_SECONDS)


def _usual_rise(levels: Sequence[Level], startup_seconds: float) -> int:
    rises = sorted(_rises(levels, timedelta(seconds=startup_seconds)))
    if len(rises) < ENOUGH:
        return 0
    return max(0, rises[math.ceil(RISE_RANK * len(rises)) - 1])


def _rises(levels: Sequence[Level], horizon: timedelta) -> list[int]:
    times = [level.at for level in levels]
    later = (bisect_left(times, at + horizon) for at in times)
    return [levels[then].milli - level.milli for level, then in zip(levels, later, strict=True) if then < len(levels)]
