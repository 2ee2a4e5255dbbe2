from datetime import timedelta

import pytest

from autoglm_api.spec import Signal, SignalType
from autoglm_operator.scaling.model import Load
from autoglm_operator.scaling.observation import observe
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading, total
from autoglm_operator.scaling.rules import Tolerance
from autoglm_operator.scaling.signals import MAX_INT32, Opinion, Pool, average_value_replicas, opinions, winner
from support.scaling_times import at

STALE = NoData(Problem.STALE, "old")
QUEUED = Signal(type=SignalType.QUEUED_QUERIES_PER_REPLICA, target=4)
CONCURRENCY = Signal(type=SignalType.CONCURRENCY, target=6)


def opinions_of(signals: list[Signal], load: Load, current: int) -> tuple[Opinion, ...]:
    pool = Pool(current, current, at(0), Tolerance())
    return opinions(signals, observe(signals, load, {}, at(0), timedelta(seconds=300)), pool, {}).opinions


@pytest.mark.parametrize(
    ("usage", "target", "current", "size"),
    [
        (31_000, 6_000, 3, 6),
        (30_000, 6_000, 3, 5),
        (30_001, 6_000, 3, 6),  # a thousandth more needs one more
        (19_800, 6_000, 3, 3),  # ratio 1.1: inside, inclusive
        (19_801, 6_000, 3, 4),
        (16_200, 6_000, 3, 3),  # ratio 0.9
        (16_199, 6_000, 3, 3),  # outside, but ceil(2.7) is 3
        (11_000, 6_000, 3, 2),
        (0, 6_000, 3, 0),
        (7_000, 1_500, 3, 5),  # fractional targets
        (5_000, 4_000, 0, 2),  # from zero no tolerance
        (0, 4_000, 0, 0),
        (10**15, 1, 3, MAX_INT32),
    ],
)
def test_average_value(usage: int, target: int, current: int, size: int) -> None:
    assert average_value_replicas(usage, target, current, Tolerance()) == size


def test_tolerance_differs_per_direction() -> None:
    tolerance = Tolerance(up=0.5, down=0.0)
    assert average_value_replicas(27_000, 6_000, 3, tolerance) == 3
    assert average_value_replicas(12_000, 6_000, 3, tolerance) == 2


@pytest.mark.parametrize(
    ("parts", "whole"),
    [
        ((Fresh(1), Fresh(2)), Fresh(3)),
        ((Fresh(1), STALE), AtLeast(1, Problem.STALE, "old")),
        ((AtLeast(1, Problem.PARTIAL, "half"), Fresh(2)), AtLeast(3, Problem.PARTIAL, "half")),
        ((STALE, NoData(Problem.MISSING, "none")), STALE),
    ],
)
def test_a_sum_is_complete_only_if_every_part_is(parts: tuple[Reading, ...], whole: Reading) -> None:
    assert total(*parts) == whole


def test_concurrency_counts_what_waits_and_what_runs() -> None:
    said = opinions_of([QUEUED, CONCURRENCY], Load(Fresh(5_000), Fresh(20_000)), 2)
    assert [opinion.proposal for opinion in said] == [2, 5]
    assert winner(said) is said[1]


def test_part_of_the_load_may_raise_the_size_but_not_lower_it() -> None:
    small = opinions_of([CONCURRENCY], Load(STALE, Fresh(1_000)), 4)
    big = opinions_of([CONCURRENCY], Load(STALE, Fresh(60_000)), 4)
    assert (small[0].proposal, big[0].proposal) == (4, 10)


def test_nothing_known_proposes_nothing() -> None:
    said = opinions_of([QUEUED, CONCURRENCY], Load(STALE, STALE), 4)
    assert [opinion.proposal for opinion in said] == [None, None]
    assert winner(said) is None
