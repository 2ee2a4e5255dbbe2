"""How long a new replica takes to become ready: the 90th percentile of the last ones, or what the spec expects."""

import math
from typing import Final

REMEMBERED: Final = 32
ENOUGH: Final = 3
"""Fewer observations than this do not outweigh the spec."""
_SHORTEST: Final = 1.0
_LONGEST: Final = 3600.0


def remembered(times: tuple[float, ...], became_ready: tuple[float, ...]) -> tuple[float, ...]:
    """Return the start-up times to remember, in seconds, newest last; what cannot be a time is dropped."""
    if not became_ready:
        return times
    sound = tuple(min(seconds, _LONGEST) for seconds in became_ready if math.isfinite(seconds) and seconds >= 0)
    return (*times, *sound)[-REMEMBERED:]


def startup_seconds(times: tuple[float, ...], expected: float) -> float:
    """Return the seconds from a new replica to its readiness that nine of ten keep.

    >>> startup_seconds((40.0, 50.0, 45.0), 120), startup_seconds((40.0,), 120)
    (50.0, 120)
    """
    if len(times) < ENOUGH:
        return expected
    ordered = sorted(times)
    return max(_SHORTEST, ordered[math.ceil(0.9 * len(ordered)) - 1])
