"""Averages over the part of a window that has data, and maxima over a delay."""

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, NamedTuple

STABLE_WINDOW: Final = timedelta(seconds=60)
PANIC_PERCENT: Final = 10.0
_BUCKET: Final = timedelta(seconds=1)
_DIGITS: Final = 6
_MIN_SMOOTHING: Final = 0.2
_WEIGHT_LEFT_OUT: Final = 1 - 0.9999
"""Weight of an exponential average that may lie outside its window."""


class Bucket(NamedTuple):
    """The total of one second; `second` is the Unix time."""

    second: int
    value: float


class Averages(NamedTuple):
    """Totals over all pods: the average of the stable window and of the panic window."""

    stable: float
    panic: float


def panic_window(stable: timedelta = STABLE_WINDOW, percent: float = PANIC_PERCENT) -> timedelta:
    """Return the length of the panic window: a share of the stable one in whole seconds, at least one bucket."""
    exact = stable * (percent / 100)
    return max(_BUCKET * math.floor(exact / _BUCKET + 0.5), _BUCKET)


def averages(
    buckets: Sequence[Bucket],
    now: int,
    *,
    stable: timedelta = STABLE_WINDOW,
    panic: timedelta | None = None,
    is_scraped: bool = True,
) -> Averages | None:
    """Return both averages; None when the stable window has no data at all.

    A panic window without data while the stable one has some counts as no load: upstream asks only the stable window
    whether it is empty. `is_scraped` False: the burst capacity is -1, so the activators tell all load, and silence is
    no load.
    """
    whole = window_average(buckets, now, _buckets_of(stable))
    if whole is None and is_scraped:
        return None
    short = window_average(buckets, now, _buckets_of(panic or panic_window(stable)))
    return Averages(whole or 0.0, short or 0.0)


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


def exponential_average(buckets: Sequence[Bucket], now: int, window: int) -> float | None:
    """Return Knative's weighted alternative; None when nothing was recorded in the last `window` seconds.

    Each second back weighs 1 - c of the one after it, with c = max(1 - 0.0001^(1/window), 0.2). Seconds without data,
    the silent ones since the last bucket too, count as zeros.
    """
    if not buckets or now - buckets[-1].second > window:
        return None
    last, first = buckets[-1].second, _first_of_run(buckets, window)
    silent = max(0, now - last)
    smoothing = max(1 - math.pow(_WEIGHT_LEFT_OUT, 1 / window), _MIN_SMOOTHING)
    oldest = max(first, last - (window - silent) + 1)
    return sum(
        bucket.value * smoothing * math.pow(1 - smoothing, silent + last - bucket.second)
        for bucket in buckets
        if bucket.second >= oldest
    )


def recorded(maxima: tuple[Bucket, ...], index: int, value: float, size: int) -> tuple[Bucket, ...]:
    """Return the descending maxima of the last `size` indexes with one more value; the first is the maximum."""
    kept = [entry for entry in maxima if entry.value > value and index - entry.second < size]
    if kept and kept[-1].second == index:
        return tuple(kept)
    return (*kept, Bucket(index, value))


def _buckets_of(window: timedelta) -> int:
    return math.ceil(window / _BUCKET)


def _first_of_run(buckets: Sequence[Bucket], window: int) -> int:
    first = buckets[-1].second
    for bucket in reversed(buckets):
        if first - bucket.second >= window:
            break
        first = bucket.second
    return first


def _floored(value: float) -> float:
    return math.floor(value * 10.0**_DIGITS) / 10.0**_DIGITS
