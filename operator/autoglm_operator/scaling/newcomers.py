"""Replicas that are asked for and not ready yet, by when they were asked for: what they will have done, and when.

A replica that was asked for just now will do nothing within a start-up time; one that is nearly ready will do nearly as
much as a ready one. Taken for the mean of the two, a burst's own newcomers would hide its queue.
"""

from datetime import datetime
from typing import Final, NamedTuple

MOST: Final = 32
"""Batches that are remembered; older ones are taken together."""


class Batch(NamedTuple):
    """Replicas that were asked for together."""

    at: datetime
    size: int


def followed(known: tuple[Batch, ...], ready: int, starting: int, now: datetime) -> tuple[Batch, ...]:
    """Return the batches after so many have become ready (the oldest), when so many start now.

    What starts beyond the known ones was asked for now; what starts no more was taken back, the newest first.
    """
    left = _without(known, ready)
    missing = starting - sum(batch.size for batch in left)
    if missing > 0:
        return _bounded((*left, Batch(now, missing)))
    return tuple(reversed(_without(tuple(reversed(left)), -missing)))


def soon(batches: tuple[Batch, ...], startup_seconds: float, now: datetime) -> float:
    """Return the ready replicas that would do as much within a start-up time as the batches will.

    >>> at = datetime(2026, 1, 1)
    >>> soon((Batch(at, 4),), 120.0, at.replace(minute=1)), soon((Batch(at, 4),), 120.0, at)
    (2.0, 0.0)
    """
    if startup_seconds <= 0:
        return float(sum(batch.size for batch in batches))
    ages = ((min(max((now - batch.at).total_seconds(), 0.0), startup_seconds), batch.size) for batch in batches)
    return sum(age * count for age, count in ages) / startup_seconds


def _without(batches: tuple[Batch, ...], count: int) -> tuple[Batch, ...]:
    """Return the batches without the first `count` replicas."""
    kept = []
    for batch in batches:
        gone = min(batch.size, count)
        count -= gone
        if batch.size > gone:
            kept.append(batch._replace(size=batch.size - gone))
    return tuple(kept)


def _bounded(batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
    if len(batches) <= MOST:
        return batches
    first, second, *rest = batches
    return (Batch(second.at, first.size + second.size), *rest)
