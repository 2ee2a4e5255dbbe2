"""What a pool's past still says: recommendations and size changes, as autoscaling/v2 keeps them.

Source of the bookkeeping: kubernetes v1.36 pkg/controller/podautoscaler/horizontal.go (`recommendations`,
`scaleUpEvents`, `scaleDownEvents`). An entry that no window needs is overwritten by the next one, never dropped, so
the lists are bounded by the longest window divided by the tick.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar

_Entry = TypeVar("_Entry")


class Recommendation(NamedTuple):
    """A size that the signals asked for, before stabilisation and limits."""

    at: datetime
    replicas: int


class ScaleEvent(NamedTuple):
    """A size change that was carried out; `change` is its amount, always positive."""

    at: datetime
    change: int


@dataclass(frozen=True, slots=True)
class History:
    """All that autoscaling/v2 remembers of one pool."""

    recommendations: tuple[Recommendation, ...] = ()
    grown: tuple[ScaleEvent, ...] = ()
    shrunk: tuple[ScaleEvent, ...] = ()


def seeded(history: History, current: int, now: datetime) -> History:
    """Return the history, started with the current size when it is empty: a restart never shrinks a pool at once."""
    if history.recommendations:
        return history
    return replace(history, recommendations=(Recommendation(now, current),))


def newest(history: History) -> int:
    """Return the size that was asked for last; the history must be seeded."""
    return max(history.recommendations, key=lambda one: one.at).replicas


def newest_change(events: tuple[ScaleEvent, ...]) -> datetime | None:
    """Return when the last change was; the entries are in no order, because old ones give their place to new ones."""
    return max((event.at for event in events), default=None)


def recommended(history: History, replicas: int, now: datetime, window: timedelta) -> History:
    """Return the history with one more recommendation; one older than `window` gives its place."""
    kept = _overwrite(history.recommendations, Recommendation(now, replicas), lambda old: old.at < now - window)
    return replace(history, recommendations=kept)


def changed(
    history: History, *, before: int, after: int, at: datetime, longest_up: timedelta, longest_down: timedelta
) -> History:
    """Return the history with a size change that was carried out.

    `longest_up` and `longest_down` are the longest policy periods of each direction; an event older than its own
    direction's period gives its place, even where the other direction's policies would still count it (as upstream).
    """
    if after > before:
        event = ScaleEvent(at, after - before)
        return replace(history, grown=_overwrite(history.grown, event, lambda old: old.at < at - longest_up))
    if after < before:
        event = ScaleEvent(at, before - after)
        return replace(history, shrunk=_overwrite(history.shrunk, event, lambda old: old.at < at - longest_down))
    return history


def change_within(events: tuple[ScaleEvent, ...], period: timedelta, now: datetime) -> int:
    """Return how many replicas the events younger than the period have added or removed."""
    cutoff = now - period
    return sum(event.change for event in events if event.at > cutoff)


def _overwrite(entries: tuple[_Entry, ...], entry: _Entry, is_old: Callable[[_Entry], bool]) -> tuple[_Entry, ...]:
    oldest = [index for index, old in enumerate(entries) if is_old(old)]
    if not oldest:
        return (*entries, entry)
    last = oldest[-1]
    return (*entries[:last], entry, *entries[last + 1 :])
