"""The bounds that hold at a moment: minReplicas and maxReplicas, or those of the windows that are open.

A window lasts from the first moment at which a clock on the wall of its zone has reached `start` to the last moment at
which that clock reaches `end`:

| the clock                          | a window that starts there        | a window that ends there         |
|------------------------------------|-----------------------------------|----------------------------------|
| jumps over the time (spring)       | starts at the jump                | ends at the jump                 |
| shows the time twice (autumn)      | starts the first time             | ends the second time             |

Windows are compared as moments, never as wall times, so no change of the clock opens or closes one twice.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from autoglm_api.spec import Scaling, Schedule, Weekday

_WEEKDAYS: Final = tuple(Weekday)
_DAY: Final = timedelta(days=1)
_LEAP_YEAR: Final = "2024-"


class Scheduled(NamedTuple):
    """The bounds in force."""

    minimum: int
    maximum: int
    name: str | None
    """The window that gives the minimum; None when minReplicas does."""
    problems: tuple[str, ...] = ()
    """What keeps a window from ever opening, in sentences."""


class _Window(NamedTuple):
    start: datetime
    end: datetime
    schedule: Schedule


def scheduled(scaling: Scaling, now: datetime, ahead: timedelta = timedelta(0)) -> Scheduled:
    """Return the bounds that hold now; windows that open within `ahead` already raise the minimum.

    The open windows' bounds take the place of the pool's own. Of several the largest minimum and the smallest maximum
    count, and no maximum is below the minimum.
    """
    windows = [window for schedule in scaling.schedules or () for window in _windows(schedule, now, now + ahead)]
    opened = [window.schedule for window in windows if window.start <= now < window.end]
    coming = [window.schedule for window in windows if now < window.start <= now + ahead]
    first = max(opened, key=_minimum, default=None)
    minimum, name = (scaling.min_replicas, None) if first is None else (first.min_replicas, first.name)
    for schedule in coming:
        if schedule.min_replicas > minimum:
            minimum, name = schedule.min_replicas, schedule.name
    maxima = [schedule.max_replicas for schedule in opened if schedule.max_replicas is not None]
    return Scheduled(minimum, max(minimum, min(maxima, default=scaling.max_replicas)), name, problems(scaling))


def problems(scaling: Scaling) -> tuple[str, ...]:
    """Return a sentence for everything that keeps a window from opening: zones and dates that do not exist."""
    return tuple(sentence for schedule in scaling.schedules or () for sentence in _problems(schedule))


def _problems(schedule: Schedule) -> Iterator[str]:
    if _zone(schedule.time_zone) is None:
        yield f'schedule {schedule.name}: "{schedule.time_zone}" is no time zone that is known here; it never opens'
    for text in schedule.dates or ():
        if not _is_date(text):
            yield f'schedule {schedule.name}: "{text}" is no date of any year'


def _minimum(schedule: Schedule) -> int:
    return schedule.min_replicas


def _windows(schedule: Schedule, first: datetime, last: datetime) -> Iterator[_Window]:
    """Yield the windows that may touch the span from first to last; none in a zone that is unknown."""
    zone = _zone(schedule.time_zone)
    if zone is None:
        return
    day, final = first.astimezone(zone).date() - _DAY, last.astimezone(zone).date()
    while day <= final:
        if _starts_on(schedule, day):
            yield _Window(*_span(zone, day, schedule.start, schedule.end), schedule)
        day += _DAY


@lru_cache(maxsize=4096)
def _span(zone: ZoneInfo, day: date, start: str, end: str) -> tuple[datetime, datetime]:
    opening, closing = time.fromisoformat(start), time.fromisoformat(end)
    last_day = day if closing > opening else day + _DAY
    return (
        _moment(datetime.combine(day, opening, zone)),
        _moment(datetime.combine(last_day, closing, zone).replace(fold=1)),
    )


def _starts_on(schedule: Schedule, day: date) -> bool:
    if schedule.dates is not None:
        whole = day.isoformat()
        return whole in schedule.dates or whole[5:] in schedule.dates
    return schedule.days is None or _WEEKDAYS[day.weekday()] in schedule.days


def _moment(local: datetime) -> datetime:
    """Return a wall time as a moment in UTC: `fold` picks one of two, the jump stands for one that does not exist."""
    before, after = local.replace(fold=0), local.replace(fold=1)
    if _offset(before) >= _offset(after):
        return local.astimezone(UTC)
    return _jump(after.astimezone(UTC), before.astimezone(UTC), before)


def _jump(low: datetime, high: datetime, local: datetime) -> datetime:
    """Return the moment between two at which the clock leaves the earlier offset, to the second."""
    earlier = _offset(local)
    while high - low > timedelta(seconds=1):
        middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
        if _offset(middle.astimezone(local.tzinfo)) == earlier:
            low = middle
        else:
            high = middle
    return high


def _offset(local: datetime) -> timedelta:
    return local.utcoffset() or timedelta(0)


def _is_date(text: str) -> bool:
    year = "" if text.count("-") > 1 else _LEAP_YEAR
    try:
        date.fromisoformat(year + text)
    except ValueError:
        return False
    return True


@lru_cache(maxsize=256)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, such as "America"
        return None
