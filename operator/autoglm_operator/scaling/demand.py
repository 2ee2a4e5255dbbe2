"""How many tokens/s a pool must carry one start-up time from now, with a margin that its own past has earned.

The rate that arrives now stands for the rate then (persistence: on real traffic it beats seasons and trends), plus how
much the rate has lately risen within one start-up time, or what a trend that is no chance promises, if that is more; or
what waits and will still wait then, spread over a while, if that is more. A height that the rate has reached twice
within HEIGHT_MEMORY, having fallen well below it in between, is expected again, so the pool does not shrink below it.
All figures are thousandths of tokens/s, or of tokens.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from autoglm_operator.scaling.model import Load
from autoglm_operator.scaling.readings import Fresh, NoData
from autoglm_operator.scaling.trend import Point, expected_rise, window_seconds

GROW_SHARE: Final = 0.85
"""A pool that grows is sized to use this share of its capacity."""
SHRINK_SHARE: Final = 0.80
"""A pool shrinks only to a size that would use at most this share, without any margin."""
DRAIN_SECONDS: Final = 75.0
"""What will still wait when new replicas are ready is to be worked off within this time..."""
DRAIN_SHARE: Final = 0.94
"""...by a pool that uses this share of its capacity meanwhile."""
HEIGHT_MEMORY: Final = timedelta(seconds=2400)
RISE_MEMORY: Final = timedelta(seconds=1200)
SPACING: Final = timedelta(seconds=15)
RISE_RANK: Final = 0.9
"""This share of the rises of the past lies within the margin."""
SIMILAR: Final = 1.35
"""A rise counts in full while the rate is at most this many times what it was when that rise began."""
SWING: Final = 1.6
"""A height is left when the rate falls below it by this factor, and a new one begins when it rises by as much."""
DEVIATIONS: Final = 3.5
"""So many standard deviations of the short rate around the long one are to be carried..."""
ABSORBED: Final = 1.1
"""...by a pool that works this much faster than it is planned to: at full use instead of GROW_SHARE, and with a queue
of a second or two."""
APART: Final = timedelta(seconds=60)
"""Two rises are one unless so much more than the time over which a rise is measured lies between them."""
ALIKE: Final = 2
"""A rise is of the kind that recurs when it is at most this many times what has recurred."""
LONE_FULL: Final = timedelta(seconds=300)
"""A rise that has not recurred counts in full for so long..."""
LONE_HALF_LIFE: Final = timedelta(seconds=60)
"""...and then half as much each time this has passed."""
UNKNOWN_SHARE: Final = 0.15
"""Margin until the past is long enough to tell."""
ENOUGH: Final = 8
"""Fewer observations than this tell nothing."""


class Level(NamedTuple):
    """The offered rate at a moment."""

    at: datetime
    milli: int
    """Over the long window."""
    short: int
    """Mean of what the shortest window has told since the last level: over SPACING, however often there is a scrape."""


@dataclass(frozen=True, slots=True)
class DemandState:
    """The rates of the last HEIGHT_MEMORY, SPACING apart: at most 161."""

    levels: tuple[Level, ...] = ()
    shorts: tuple[int, int] = (0, 0)
    """Sum and number of the short rates since the last level."""


class Rise(NamedTuple):
    """By how much the rate had risen at a moment."""

    at: datetime
    milli: int


class Need(NamedTuple):
    """What a pool must carry."""

    level: int
    """What arrives now."""
    margin: int
    """What may come on top of it within one start-up time."""
    backlog: int
    """What waits, as a rate."""
    caution: int
    """A wider margin, at least as wide: what must fit before a pool may shrink."""

    @property
    def milli(self) -> int:
        """All of it, for a pool that is sized by GROW_SHARE."""
        return max(self.level + self.margin, with_backlog(self.level, self.backlog))


class Supply(NamedTuple):
    """What the pool can do now and soon."""

    ready: int
    soon: float
    """What starts, as ready replicas that would do as much within a start-up time."""
    startup_seconds: float


def remembered(state: DemandState, load: Load, now: datetime) -> DemandState:
    """Return the state with the offered rate of now, if that is known in full."""
    offered, short, levels = load.offered_tokens, load.offered_tokens_now, state.levels
    if not isinstance(offered, Fresh):
        return state
    latest = short.milli if isinstance(short, Fresh) else offered.milli
    total, number = state.shorts[0] + latest, state.shorts[1] + 1
    if levels and now - levels[-1].at < SPACING:
        return DemandState(levels, (total, number))
    kept = tuple(level for level in levels if level.at >= now - HEIGHT_MEMORY)
    return DemandState((*kept, Level(now, offered.milli, total // number)))


def need(load: Load, state: DemandState, supply: Supply, capacity_milli: int) -> Need | None:
    """Return what the pool must carry; None without an offered rate. A lower bound of the load gives a lower bound."""
    if isinstance(load.offered_tokens, NoData):
        return None
    level = load.offered_tokens.milli
    margin = _margin(level, state.levels, supply.startup_seconds)
    caution = max(margin, recurring_height(state.levels) - level)
    return Need(level, margin, backlog(load, supply, capacity_milli), caution)


def with_backlog(rate: int, backlog_rate: int) -> int:
    """Return a rate with what waits, as a rate that GROW_SHARE is applied to: at least the rate itself.

    >>> with_backlog(1000, 0), with_backlog(1000, 880)
    (1000, 1700)
    """
    return max(rate, int((rate + backlog_rate) * GROW_SHARE / DRAIN_SHARE))


def backlog(load: Load, supply: Supply, capacity_milli: int) -> int:
    """Return the rate that works off what will still wait when a replica that is asked for now is ready."""
    if isinstance(load.queued_tokens, NoData) or isinstance(load.offered_tokens, NoData):
        return 0
    waiting = load.queued_tokens.milli
    if waiting <= 0:
        return 0
    working = supply.ready + supply.soon
    left = waiting + (load.offered_tokens.milli - working * capacity_milli) * supply.startup_seconds
    return int(max(0.0, left) / DRAIN_SECONDS)


def size_for(milli: int, capacity_milli: int, share: float) -> int:
    """Return the fewest replicas that carry the rate at that share of their capacity.

    >>> size_for(8_500_000, 1_000_000, 0.85), size_for(8_500_001, 1_000_000, 0.85), size_for(0, 1_000_000, 0.85)
    (10, 11, 0)
    """
    return math.ceil(round(milli / (capacity_milli * share), 6))


def earned(rises: Sequence[Rise], apart: timedelta) -> list[int]:
    """Return how much of each rise still counts: all of it if its kind has recurred, else what has not faded.

    What has recurred is the largest amount that two rises have reached which are so far apart that they are not one.
    """
    alike = ALIKE * _recurring(rises, apart)
    return [
        one.milli if one.milli <= alike else max(alike, int(one.milli * _left(rises[-1].at - one.at))) for one in rises
    ]


def _recurring(rises: Sequence[Rise], apart: timedelta) -> int:
    first, last = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
    for rise in sorted(rises, key=lambda one: one.milli, reverse=True):
        first, last = min(first, rise.at), max(last, rise.at)
        if last - first >= apart:
            return max(0, rise.milli)
    return 0


def _left(age: timedelta) -> float:
    return float(0.5 ** max(0.0, (age - LONE_FULL) / LONE_HALF_LIFE))


def recurring_height(levels: Sequence[Level]) -> int:
    """Return the rate that is reached again and again: the second highest of the heights, 0 when there is only one."""
    first, second = 0, 0
    for height in _heights(levels):
        first, second = max(first, height), max(second, min(first, height))
    return second


def _heights(levels: Sequence[Level]) -> Iterator[int]:
    """Yield the tops between which the rate has swung by SWING; one that has just begun is none yet."""
    top, low = 0, None
    for level in levels:
        rate = max(level.milli, int(level.short / ABSORBED))
        if low is None:
            top = max(top, rate)
            if rate * SWING < top:
                yield top
                low = rate
        elif rate > low * SWING:
            top, low = rate, None
        else:
            low = min(low, rate)
    if low is None:
        yield top


def _margin(level: int, levels: Sequence[Level], startup_seconds: float) -> int:
    """Return what may come on top of a level.

    It is the usual rise while a replica starts, the usual burst, or the trend, whichever is more. What the rate has
    risen far beyond where a rise began is taken off it: a rise to the level of today is no reason to expect another.
    """
    bursts = max(_bursts(level, levels), _trend(level, levels, startup_seconds))
    recent = [one for one in levels if one.at >= levels[-1].at - RISE_MEMORY]
    horizon = timedelta(seconds=startup_seconds)
    counting = earned(_rises(level, recent, horizon), horizon + APART)
    rises = sorted(
        milli - max(0, level - int(SIMILAR * begin.milli)) for begin, milli in zip(recent, counting, strict=False)
    )
    if len(rises) < ENOUGH:
        return max(int(UNKNOWN_SHARE * level), bursts)
    return max(0, rises[math.ceil(RISE_RANK * len(rises)) - 1], bursts)


def _trend(level: int, levels: Sequence[Level], startup_seconds: float) -> int:
    """Return the rise that the last minutes promise; where the rate swings, never beyond the highest rate yet."""
    if not levels:
        return 0
    now, window = levels[-1].at, window_seconds(startup_seconds)
    most = int(window / SPACING.total_seconds()) + 1  # levels are no closer, and this runs at every decision
    ages = (((now - one.at).total_seconds(), one.milli) for one in levels[-most:])
    rise = expected_rise([Point(age, milli) for age, milli in ages if age <= window], level, startup_seconds)
    if not rise or recurring_height(levels) == 0:
        return rise
    return min(rise, max(0, max(one.milli for one in levels) - level))


def _bursts(level: int, levels: Sequence[Level]) -> int:
    """Return what may come on top of a level within less than the long window: never beyond the highest burst yet."""
    if len(levels) < ENOUGH:
        return 0
    above = [Rise(one.at, int(max(0, one.short - one.milli) * _scale(level, one.milli))) for one in levels]
    # Above only: what is below after a lone burst is its echo. The factor makes it a standard deviation again.
    spread = math.sqrt(2 * sum(milli**2 for milli in earned(above, APART)) / len(levels))
    highest = max(one.short for one in levels)
    return max(0, min(int((level + DEVIATIONS * spread) / ABSORBED), highest) - level)


def _rises(now: int, levels: Sequence[Level], horizon: timedelta) -> list[Rise]:
    """Return by how much the rate rose within the horizon from each level on."""
    rises, then, last = [], 0, len(levels)
    for level in levels:
        due = level.at + horizon
        while then < last and levels[then].at < due:
            then += 1
        if then == last:
            break
        rises.append(Rise(levels[then].at, int((levels[then].milli - level.milli) * _scale(now, level.milli))))
    return rises


def _scale(now: int, then: int) -> float:
    """Return how much of a rise at one rate counts at a lower one: chance is at least as the root of the rate."""
    return math.sqrt(max(0, now) / then) if now < then else 1.0
