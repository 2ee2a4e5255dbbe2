"""A rise that goes on: the slope of the last minutes, less what chance may have made of it.

What the rate has done within one start-up time before says nothing when a rise has only just begun. A line through the
last minutes does, as soon as its slope is larger than its own error by a factor.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

SHORTEST_SECONDS: Final = 180.0
LONGEST_SECONDS: Final = 300.0
"""The line is as long as a start-up, within these."""
ENOUGH: Final = 8
"""A line through fewer points tells nothing."""
SURE: Final = 2.0
"""So many standard errors are taken off the slope..."""
CORRELATED: Final = 2.0
"""...each twice as large as independent points would have it: means of a minute that are 15 s apart tell a quarter."""
LAG_SECONDS: Final = 30.0
"""The mean of a minute is half a minute old."""
MOST_SHARE: Final = 0.5
"""No trend expects more than this share of the rate on top of it."""


class Point(NamedTuple):
    """A rate at a moment."""

    age_seconds: float
    milli: int


def window_seconds(startup_seconds: float) -> float:
    """Return how much of the past a trend is drawn through."""
    return min(max(startup_seconds, SHORTEST_SECONDS), LONGEST_SECONDS)


def expected_rise(points: Sequence[Point], level_milli: int, startup_seconds: float) -> int:
    """Return by how much a level will have risen when a replica that is asked for now is ready; at least 0."""
    if len(points) < ENOUGH:
        return 0
    surely = _slope(points) * (startup_seconds + LAG_SECONDS)
    return int(min(max(0.0, surely), MOST_SHARE * level_milli))


def _slope(points: Sequence[Point]) -> float:
    """Return the slope per second that is left after its error: least squares."""
    count = len(points)
    middle, mean = sum(one.age_seconds for one in points) / count, sum(one.milli for one in points) / count
    spread = sum((one.age_seconds - middle) ** 2 for one in points)
    if spread <= 0:
        return 0.0
    slope = sum((middle - one.age_seconds) * (one.milli - mean) for one in points) / spread
    left = sum((one.milli - mean - slope * (middle - one.age_seconds)) ** 2 for one in points)
    return slope - SURE * CORRELATED * math.sqrt(left / (count - 2) / spread)
