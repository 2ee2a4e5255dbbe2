"""Averages over the part of a window that has data, and maxima over a delay."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

_DIGITS: Final = 6


class Bucket(NamedTuple):
    """The total of one second; `second` is the Unix time."""

    second: int
    value: float


def window_average(buckets: Sequence[Bucket], now: int, window: int) -> float | None:
    """Return the average per second over the last `window` seconds; None when nothing was recorded in them.

    Buckets are in order of time, one per second. A gap shorter than the window counts as zeros; a gap of a whole
    window starts the average anew; the seconds since the last bucket are left out.
    """
    if not buckets or now - buckets[-1].second > window:
        return None
    last, first = buckets[-1].second, _first_of_run(buckets, window)
    silent = max(0, now - last)
    if silent == window:
        return 0.0
    oldest = max(first, max(now, last) - window + 1)
    total = sum(bucket.value for bucket in buckets if bucket.second >= oldest)
    return _floored(total / min(last - first + 1, window - silent))


def recorded(maxima: tuple[Bucket, ...], index: int, value: float, size: int) -> tuple[Bucket, ...]:
    """Return the descending maxima of the last `size` indexes with one more value; the first is the maximum."""
    kept = [entry for entry in maxima if entry.value > value and index - entry.second < size]
    if kept and kept[-1].second == index:
        return tuple(kept)
    return (*kept, Bucket(index, value))


def _first_of_run(buckets: Sequence[Bucket], window: int) -> int:
    first = buckets[-1].second
    for bucket in reversed(buckets):
        if first - bucket.second >= window:
            break
        first = bucket.second
    return first


def _floored(value: float) -> float:
    return math.floor(value * 10.0**_DIGITS) / 10.0**_DIGITS
