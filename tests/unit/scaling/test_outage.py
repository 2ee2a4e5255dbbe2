from datetime import timedelta

import pytest

from autoglm_api.spec import Fallback
from autoglm_operator.scaling.outage import (
    Assessed,
    SignalMemory,
    Stage,
    assess,
    fallback_size,
    held_size,
)
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading
from support.scaling_pools import NOTHING
from support.scaling_times import at

LOST_AFTER = timedelta(seconds=300)


def assessed(*readings: tuple[float, Reading]) -> Assessed:
    """Assess readings one after the other; the last one's assessment."""
    memory = SignalMemory()
    for seconds, reading in readings:
        last = assess(reading, memory, at(seconds), lost_after=LOST_AFTER)
        memory = last.memory
    return last


def part(milli: int) -> AtLeast:
    return AtLeast(milli, Problem.PARTIAL, "half")


@pytest.mark.parametrize(
    ("seconds", "stage"),
    [(6, Stage.RECENT), (59, Stage.RECENT), (60, Stage.HELD), (304, Stage.HELD), (305, Stage.LOST), (9999, Stage.LOST)],
)
def test_the_ladder_by_time_without_data(seconds: float, stage: Stage) -> None:
    readings: list[tuple[float, Reading]] = [(0, Fresh(5000)), (5, NOTHING), (seconds, NOTHING)]
    assert assessed(*readings).stage is stage


@pytest.mark.parametrize(
    ("reading", "usable"),
    [
        (NOTHING, AtLeast(5000, Problem.MISSING, "no series")),
        (part(7000), part(7000)),
        (part(2000), part(5000)),
    ],
)
def test_a_recent_figure_is_a_lower_bound(reading: Reading, usable: Reading) -> None:
    assert assessed((0, Fresh(5000)), (5, reading)).reading == usable


def test_an_old_figure_is_not_used() -> None:
    assert assessed((0, Fresh(5000)), (5, NOTHING), (70, NOTHING)).reading == NOTHING


def test_a_part_of_the_figure_is_never_lost() -> None:
    known = assessed((0, part(1)), (1000, part(3000)))
    assert (known.stage, known.reading) == (Stage.HELD, part(3000))
    assert assessed((0, part(1)), (1000, part(1)), (1299, NOTHING)).stage is Stage.HELD


@pytest.mark.parametrize("problem", [Problem.NOT_A_NUMBER, Problem.MISSING, Problem.NEGATIVE, Problem.DUPLICATE])
def test_a_failure_is_never_zero(problem: Problem) -> None:
    nothing = NoData(problem, "why")
    assert assessed((0, nothing)).reading == nothing


@pytest.mark.parametrize("reading", [Fresh(-1), part(-1)])
def test_a_negative_figure_is_a_failure(reading: Reading) -> None:
    worth = assessed((0, reading))
    assert worth.stage is Stage.HELD
    assert isinstance(worth.reading, NoData)
    assert worth.reading.problem is Problem.NEGATIVE


def test_age_is_that_of_the_last_complete_figure() -> None:
    assert assessed((0, NOTHING)).age is None
    assert assessed((0, Fresh(1)), (10, NOTHING), (40, part(9))).age == timedelta(seconds=40)


def test_time_in_which_nobody_asked_is_no_outage() -> None:
    assert assessed((0, Fresh(1)), (3600, NOTHING)).stage is Stage.HELD


def test_a_memory_from_the_future_is_forgotten() -> None:
    assert assessed((100, Fresh(1)), (50, NOTHING)) == assessed((50, NOTHING))


FALLBACKS = [
    ("Static", 5, 3, 5),
    ("Static", 5, 8, 5),
    ("Current", 5, 3, 3),
    ("CurrentIfHigher", 5, 3, 5),
    ("CurrentIfHigher", 5, 8, 8),
    ("CurrentIfLower", 5, 3, 3),
    ("CurrentIfLower", 5, 8, 5),
    ("Static", 99, 3, 10),
    ("Static", 0, 3, 2),
    ("Static", None, 8, 2),
    ("CurrentIfHigher", None, 8, 8),
]


@pytest.mark.parametrize(("behavior", "replicas", "current", "expected"), FALLBACKS)
def test_fallback(behavior: str, replicas: int | None, current: int, expected: int) -> None:
    fallback = Fallback.model_validate({"behavior": behavior, "replicas": replicas})
    assert fallback_size(fallback, current, 2, 10) == expected
    assert held_size(fallback, current, 2, 10) == max(expected, current)


@pytest.mark.parametrize(("replicas", "current", "expected"), [(None, 4, 1), (None, 0, 0), (0, 4, 0)])
def test_a_running_pool_falls_asleep_only_if_told_to(replicas: int | None, current: int, expected: int) -> None:
    fallback = Fallback.model_validate({"behavior": "Static", "replicas": replicas})
    assert fallback_size(fallback, current, 0, 10) == expected
