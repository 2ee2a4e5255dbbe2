"""Whether a query may wait, and if not, when to come again. Pure: time is an argument (seconds, any origin)."""

import math
from typing import Final

_MAX_RETRY_SECONDS: Final = 60
_UNKNOWN_RATE_RETRY_SECONDS: Final = 5
_MEMORY_SECONDS: Final = 10.0


class DrainRate:
    """How many queries per second leave a queue, remembered for about ten seconds (exponentially)."""

    __slots__ = ("_amount", "_at")

    def __init__(self) -> None:
        self._amount = 0.0
        self._at = 0.0

    def record(self, now: float) -> None:
        """Count one query that has left at `now`."""
        self._amount = self._decayed(now) + 1.0
        self._at = now

    def per_second(self, now: float) -> float:
        """Return the rate as of `now`, in queries per second."""
        return self._decayed(now) / _MEMORY_SECONDS

    def _decayed(self, now: float) -> float:
        return self._amount * math.exp(-max(0.0, now - self._at) / _MEMORY_SECONDS)


def retry_after(waiting: int, limit: int, drained_per_second: float) -> int | None:
    """Return None when one more query may wait, otherwise the seconds after which there should be room (1 to 60).

    | waiting  | drained per second | answer                          |
    |----------|--------------------|---------------------------------|
    | < limit  | any                | None: it may wait               |
    | >= limit | 0                  | 5                               |
    | >= limit | r                  | time to drain the queue, 1 - 60 |
    """
    if waiting < limit:
        return None
    if drained_per_second <= 0:
        return _UNKNOWN_RATE_RETRY_SECONDS
    # Not `ceil` first: hours after the last query the rate is so small that the quotient is infinite.
    return max(1, math.ceil(min(_MAX_RETRY_SECONDS, waiting / drained_per_second)))
