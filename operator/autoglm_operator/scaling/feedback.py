"""Signals that a size cannot be computed from: they are watched, and the pool takes a step when they stay too high.

A latency says that the pool is too small, not by how much, so it only ever grows it: over its target for two windows,
it asks for max(1, 10 %) more, waits until that has had time to work, and asks again. Once it keeps its target it holds
the size for one stable window, then it has no opinion. When VAIN_STEPS steps on end have eased the replicas' work and
the latency has not become better, its target is below what the model can do: it has no opinion for RETRY_AFTER.

A share (key-value cache, GPU) is over its target for two windows before it counts; the memory of a device, which
engines take in advance, only ever grows the pool, and is ignored once it is seen to be high in an idle pool or to stay
high however much the pool grows.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

WINDOW: Final = timedelta(seconds=15)
PATIENCE: Final = 2 * WINDOW
"""How long a figure must stay over its target before it counts."""
STABLE: Final = timedelta(seconds=60)
STEP_SHARE: Final = 0.10
OWN_CREEP: Final = 1.0005
"""How fast, per decision, the best latency ever seen is forgotten."""
VAIN_STEPS: Final = 3
HELPED_SHARE: Final = 0.95
"""A step has helped when the latency is below this share of what it was."""
EASED_SHARE: Final = 0.98
"""A step has eased the work when a replica has at most this share of the queries that it had, or less than one."""
RETRY_AFTER: Final = timedelta(hours=1)
CONSOLIDATION_SHARE: Final = 0.80
"""Share of its target that a latency may reach in a pool that has shrunk."""
_ONE_QUERY: Final = 1000


class Work(NamedTuple):
    """What each replica of a pool has to do."""

    ready: int
    each_milli: int | None
    """Queries that wait or are worked on per ready replica; None: unknown."""


@dataclass(frozen=True, slots=True)
class Watch:
    """What is remembered of one watched figure."""

    over_since: datetime | None = None
    kept_since: datetime | None = None
    """Since when it keeps its target, after it did not."""
    granted: int = 0
    """Size that it was last granted; 0: none."""
    stepped_at: datetime | None = None
    stepped_milli: int = 0
    """The figure at the last step."""
    own_milli: int = 0
    """The best figure seen: what is not due to the size."""
    is_futile: bool = False
    """Growing does not lower it."""
    stepped_work: Work | None = None
    """Of the pool at the last step."""
    in_vain: int = 0
    """Steps on end that did not help."""
    vain_since: datetime | None = None


def watched(watch: Watch, milli: int, target_milli: int, now: datetime) -> Watch:
    """Return the memory with the figure of now."""
    own = min(milli, math.ceil(watch.own_milli * OWN_CREEP)) if watch.own_milli else milli
    if milli > target_milli:
        return replace(watch, own_milli=own, over_since=watch.over_since or now, kept_since=None)
    if watch.granted == 0 and not holds(watch):
        return replace(watch, own_milli=own)
    if watch.kept_since is not None and now - watch.kept_since >= STABLE:
        return Watch(own_milli=own, is_futile=watch.is_futile)
    return replace(watch, own_milli=own, over_since=None, kept_since=watch.kept_since or now)


def is_over(watch: Watch, now: datetime) -> bool:
    """Tell whether the figure has been over its target for long enough to count."""
    return watch.over_since is not None and now - watch.over_since >= PATIENCE


def holds(watch: Watch) -> bool:
    """Tell whether the pool must not shrink for this figure's sake."""
    return watch.over_since is not None or watch.kept_since is not None


def stepped(watch: Watch, milli: int, size: int, settle_seconds: float, now: datetime) -> Watch:
    """Return the memory with a larger size granted, when the figure counts and the last step has had its time."""
    due = watch.stepped_at is None or now - watch.stepped_at >= max(PATIENCE, timedelta(seconds=settle_seconds))
    if not is_over(watch, now) or not due or watch.is_futile:
        return watch
    return replace(watch, granted=size, stepped_at=now, stepped_milli=milli)


def helped(watch: Watch, milli: int, current: int, work: Work, settle_seconds: float, now: datetime) -> Watch:
    """Return the memory of a latency with a step granted as `stepped` does, as long as steps help."""
    if is_vain(watch, now):
        return watch
    if watch.vain_since is not None:
        watch = replace(watch, vain_since=None, in_vain=0, granted=0)
    due = stepped(watch, milli, step_from(current), settle_seconds, now)
    if due is watch:
        return watch
    in_vain = _in_vain(watch, milli, work)
    if in_vain >= VAIN_STEPS:
        return replace(watch, in_vain=in_vain, granted=0, vain_since=now)
    return replace(due, in_vain=in_vain, stepped_work=work)


def is_vain(watch: Watch, now: datetime) -> bool:
    """Tell whether growing has not helped a latency, and it is not time yet to try again."""
    return watch.vain_since is not None and now - watch.vain_since < RETRY_AFTER


def _in_vain(watch: Watch, milli: int, work: Work) -> int:
    """Return how many steps on end have not helped; one that did not ease the work proves nothing."""
    if watch.granted == 0 or watch.stepped_work is None or milli < watch.stepped_milli * HELPED_SHARE:
        return 0
    before, now = watch.stepped_work.each_milli, work.each_milli
    eased = now is not None and before is not None and (now <= before * EASED_SHARE or now < _ONE_QUERY)
    return watch.in_vain + (eased and work.ready > watch.stepped_work.ready)


def step_from(current: int) -> int:
    """Return the next larger size for a latency.

    >>> step_from(3), step_from(25)
    (4, 28)
    """
    return current + max(1, math.ceil(STEP_SHARE * current))


def latency_floor(watch: Watch, milli: int, target_milli: int, ready: int) -> int:
    """Return the smallest size at which a latency would keep a share of its target.

    The part of it that is due to waiting grows as replicas go (N/(N-1)); the rest, the best ever seen, stays.
    """
    waiting, room = milli - watch.own_milli, target_milli - watch.own_milli
    if waiting <= 0:
        return 0
    return ready if room <= 0 else math.ceil(ready * waiting / (room * CONSOLIDATION_SHARE))
