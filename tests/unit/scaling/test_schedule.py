from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from autoglm_api.spec import Scaling
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.schedule import problems, scheduled
from support.scaling_pools import fresh_load, scaling, snapshot


def windows(*schedules: dict[str, Any], low: int = 1, high: int = 10) -> Scaling:
    return scaling(low, high, schedules=[{"name": "w", "minReplicas": 5, **schedule} for schedule in schedules])


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def is_open(schedule: dict[str, Any], moment: str) -> bool:
    return scheduled(windows(schedule), utc(moment)).name == "w"


DAY = {"start": "09:00", "end": "17:00"}
NIGHT = {"start": "22:00", "end": "06:00"}
BERLIN = {"timeZone": "Europe/Berlin"}
# 2026-03-29 02:00 -> 03:00 (01:00 UTC) and 2026-10-25 03:00 -> 02:00 (01:00 UTC) in Berlin.
CASES = [
    ("opens at its start", DAY, "2026-01-05T09:00", True),
    ("not a moment before", DAY, "2026-01-05T08:59:59", False),
    ("is closed at its end", DAY, "2026-01-05T17:00", False),
    ("open to the last second", DAY, "2026-01-05T16:59:59", True),
    ("over midnight: evening", NIGHT, "2026-01-05T23:00", True),
    ("over midnight: morning", NIGHT, "2026-01-06T05:59", True),
    ("over midnight: noon", NIGHT, "2026-01-06T12:00", False),
    ("a day names the start: Friday night", {**NIGHT, "days": ["Fri"]}, "2026-01-09T23:00", True),
    ("a day names the start: Saturday morning", {**NIGHT, "days": ["Fri"]}, "2026-01-10T03:00", True),
    ("a day names the start: Friday morning", {**NIGHT, "days": ["Fri"]}, "2026-01-09T03:00", False),
    ("every year", {**DAY, "dates": ["11-11"]}, "2031-11-11T12:00", True),
    ("other days", {**DAY, "dates": ["11-11"]}, "2031-11-12T12:00", False),
    ("one year", {**DAY, "dates": ["2026-11-11"]}, "2026-11-11T12:00", True),
    ("not the next", {**DAY, "dates": ["2026-11-11"]}, "2027-11-11T12:00", False),
    ("leap day", {**DAY, "dates": ["02-29"]}, "2028-02-29T12:00", True),
    ("leap day without one", {**DAY, "dates": ["02-29"]}, "2027-03-01T12:00", False),
    ("New Year over midnight", {**NIGHT, "dates": ["12-31"]}, "2027-01-01T01:00", True),
    ("winter time", {**DAY, **BERLIN}, "2026-01-05T08:00", True),
    ("summer time", {**DAY, **BERLIN}, "2026-07-06T07:00", True),
    ("before summer time", {**DAY, **BERLIN}, "2026-01-05T07:59", False),
    ("the day is the zone's", {**DAY, "timeZone": "Pacific/Auckland", "days": ["Mon"]}, "2026-01-04T21:00", True),
    ("start in the gap: before the jump", {"start": "02:30", "end": "05:00", **BERLIN}, "2026-03-29T00:59:59", False),
    ("start in the gap: at the jump", {"start": "02:30", "end": "05:00", **BERLIN}, "2026-03-29T01:00", True),
    ("end in the gap: before the jump", {"start": "01:00", "end": "02:30", **BERLIN}, "2026-03-29T00:59:59", True),
    ("end in the gap: at the jump", {"start": "01:00", "end": "02:30", **BERLIN}, "2026-03-29T01:00", False),
    ("all in the gap", {"start": "02:10", "end": "02:50", **BERLIN}, "2026-03-29T01:00", False),
    ("start shown twice: first time", {"start": "02:30", "end": "05:00", **BERLIN}, "2026-10-25T00:30", True),
    ("start shown twice: stays open", {"start": "02:30", "end": "05:00", **BERLIN}, "2026-10-25T01:10", True),
    ("end shown twice: after the first", {"start": "01:00", "end": "02:30", **BERLIN}, "2026-10-25T00:45", True),
    ("end shown twice: after the second", {"start": "01:00", "end": "02:30", **BERLIN}, "2026-10-25T01:30", False),
    (
        "a day that was left out",
        {**DAY, "timeZone": "Pacific/Apia", "dates": ["2011-12-30"]},
        "2011-12-30T10:00",
        False,
    ),
]


@pytest.mark.parametrize(("schedule", "moment", "expected"), [pytest.param(*case, id=name) for name, *case in CASES])
def test_when_a_window_is_open(schedule: dict[str, Any], moment: str, *, expected: bool) -> None:
    assert is_open(schedule, moment) is expected


def test_a_window_of_wall_hours_is_shorter_in_spring_and_longer_in_autumn() -> None:
    night = windows({**NIGHT, **BERLIN})
    for start, hours in (("2026-03-28T12:00", 7), ("2026-06-06T12:00", 8), ("2026-10-24T12:00", 9)):
        minutes = [utc(start) + timedelta(minutes=10 * step) for step in range(144)]
        assert sum(scheduled(night, minute).name == "w" for minute in minutes) == hours * 6


BOUNDS = [
    ("none open", [], (1, 10, None)),
    ("takes the place of the minimum", [{"minReplicas": 0}], (0, 10, "w0")),
    ("takes the place of the maximum", [{"maxReplicas": 20}], (5, 20, "w0")),
    ("the largest minimum", [{"minReplicas": 3}, {"minReplicas": 4}], (4, 10, "w1")),
    ("the smallest maximum", [{"maxReplicas": 8}, {"maxReplicas": 7}], (5, 7, "w0")),
    ("no maximum below the minimum", [{"minReplicas": 6}, {"minReplicas": 2, "maxReplicas": 3}], (6, 6, "w0")),
    ("a minimum above maxReplicas", [{"minReplicas": 12}], (12, 12, "w0")),
]


@pytest.mark.parametrize(("schedules", "expected"), [pytest.param(*case, id=name) for name, *case in BOUNDS])
def test_bounds_of_open_windows(schedules: list[dict[str, Any]], expected: tuple[int, int, str | None]) -> None:
    named = [{**DAY, "name": f"w{index}", **schedule} for index, schedule in enumerate(schedules)]
    assert scheduled(windows(*named), utc("2026-01-05T12:00"))[:3] == expected


@pytest.mark.parametrize(("moment", "minimum"), [("08:57:59", 1), ("08:58", 5), ("08:59:59", 5), ("17:00", 1)])
def test_the_floor_of_a_window_holds_before_it_opens(moment: str, minimum: int) -> None:
    start_up = timedelta(seconds=120)
    assert scheduled(windows(DAY), utc(f"2026-01-05T{moment}"), start_up).minimum == minimum


def test_a_coming_window_only_raises() -> None:
    low = windows({**DAY, "minReplicas": 1, "maxReplicas": 2}, low=3)
    assert scheduled(low, utc("2026-01-05T08:59"), timedelta(seconds=120)) == (3, 10, None, ())


@pytest.mark.parametrize("zone", ["Mars/Phobos", "America", "../etc/passwd", "/etc/localtime"])
def test_an_unknown_zone_is_told_and_never_opens(zone: str) -> None:
    schedule = {**DAY, "timeZone": "UTC"}
    odd = windows(schedule).model_copy(
        update={"schedules": [s.model_copy(update={"time_zone": zone}) for s in windows(schedule).schedules or ()]}
    )
    bounds = scheduled(odd, utc("2026-01-05T12:00"))
    assert bounds[:3] == (1, 10, None)
    assert zone in bounds.problems[0]


@pytest.mark.parametrize("text", ["02-30", "2027-02-29", "0000-01-01"])
def test_a_date_that_does_not_exist_is_told(text: str) -> None:
    assert text in problems(windows({**DAY, "dates": [text, "11-11"]}))[0]


def test_good_schedules_have_no_problems() -> None:
    assert problems(windows({**NIGHT, **BERLIN, "dates": ["02-29", "2026-11-11"]}, DAY)) == ()


def test_a_decision_tells_what_is_wrong_with_a_schedule() -> None:
    now = utc("2026-01-05T12:00")
    odd = windows({**DAY, "timeZone": "Mars/Phobos"})
    decision, _ = decide(snapshot(1, fresh_load()), odd, PoolState(), now)
    assert 'schedule w: "Mars/Phobos" is no time zone' in decision.message
    assert decision.replicas == 1
