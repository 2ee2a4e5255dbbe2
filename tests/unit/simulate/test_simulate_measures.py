from dataclasses import replace

import numpy as np
import pytest

from autoglm_operator.simulate.measures import flaps, measured, oracle_sizes
from autoglm_operator.simulate.replay import Result
from autoglm_operator.simulate.uncertainty import attainment_interval, difference, pareto_front

HOUR = 3600
CALM = np.zeros(HOUR)


def result(held: float = 4.0, offered: float = 340.0, within: float = 1.0) -> Result:
    """An hour on replicas of 100 tokens/s: the oracle needs offered / 85."""
    size = np.full(HOUR, held)
    return Result(
        policy="test",
        arrived=np.ones(HOUR),
        offered=np.full(HOUR, offered),
        within=np.full(HOUR, within),
        waits=CALM,
        asked=size,
        ready=size,
        held=size,
        queued_tokens=CALM,
        capacity_tokens=100.0,
        slo_wait_seconds=2.0,
    )


def steps(*sizes: tuple[int, float]) -> np.ndarray:
    """A size over an hour: pairs of a start in seconds and the size from then on."""
    asked = np.empty(HOUR)
    for start, size in sizes:
        asked[start:] = size
    return asked


def test_the_oracle_follows_each_minutes_mean_at_85_percent() -> None:
    offered = np.concatenate([np.full(60, 85.0), np.full(60, 86.0), np.zeros(60)])
    assert oracle_sizes(offered, 100.0)[::60].tolist() == [1, 2, 1]


def test_cost_is_replica_time_over_the_oracles_and_over_the_static_peak() -> None:
    figures = measured(result(held=6.0), gpus_per_replica=2)
    assert (figures["gpuHours"], figures["costVsOracle"], figures["costVsStaticPeak"]) == (12, 1.5, 1.5)
    assert (figures["thetaOver"], figures["thetaUnder"], figures["tauOver"], figures["tauUnder"]) == (0.5, 0, 1, 0)


def test_a_pool_that_is_too_small_is_under_all_the_time() -> None:
    figures = measured(result(held=3.0, within=0.75))
    assert (figures["sloAttainmentPercent"], figures["thetaUnder"], figures["tauUnder"]) == (75, 0.25, 1)


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        (steps((0, 4)), 0),
        (steps((0, 4), (100, 6), (200, 8)), 0),
        (steps((0, 4), (100, 6), (700, 4)), 1),
        (steps((0, 4), (100, 6), (701, 4)), 0),
        (steps((0, 4), (100, 6), (200, 4), (300, 6)), 2),
    ],
)
def test_a_flap_is_a_turn_within_ten_minutes(asked: np.ndarray, count: int) -> None:
    assert len(flaps(asked)) == count


def test_changes_are_counted_by_the_hour_and_the_largest_is_told() -> None:
    figures = measured(replace(result(), asked=steps((0, 4), (100, 9), (2000, 7))))
    assert (figures["scaleEventsPerHour"], figures["maxStep"], figures["flapsPerHour"]) == (2, 5, 0)


def test_recovery_is_the_time_from_a_step_to_the_last_late_query() -> None:
    offered = np.full(HOUR, 100.0)
    offered[1000:] = 400.0
    waits = np.zeros(HOUR)
    waits[1020:1200] = 5.0
    recovery = measured(replace(result(), offered=offered, waits=waits))["recoverySeconds"]
    assert recovery is not None
    assert 1200 - 1060 <= recovery <= 1200 - 1000
    assert measured(result())["recoverySeconds"] is None


def test_waits_are_weighed_by_their_queries() -> None:
    arrived, waits = np.zeros(HOUR), np.zeros(HOUR)
    arrived[:100] = 1.0
    waits[:6] = 50.0
    waits[200:] = 99.0
    figures = measured(replace(result(), arrived=arrived, waits=waits))
    assert figures["meanWaitSeconds"] == pytest.approx(3.0)
    assert figures["p95WaitSeconds"] == 50


def test_a_trace_without_queries_misses_nothing() -> None:
    assert measured(replace(result(), arrived=CALM, within=CALM))["sloAttainmentPercent"] == 100


def noise(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.5, 1.0, HOUR)


def test_a_paired_difference_is_surer_than_either_figure() -> None:
    rng = np.random.default_rng(1)
    common = np.repeat(np.random.default_rng(2).uniform(0.2, 1.0, 12), 300)
    good, bad = replace(result(), within=common), replace(result(held=8.0), within=common - 0.1)
    alone, paired = attainment_interval([good], rng), difference([good], [bad], rng)
    assert alone.high - alone.low > 5
    assert paired.slo_points.low == pytest.approx(10) == pytest.approx(paired.slo_points.high)
    assert paired.cost_ratio == pytest.approx((0.5, 0.5, 0.5))


def test_equal_policies_differ_by_nothing() -> None:
    one = replace(result(), within=noise(1))
    found = difference([one], [one], np.random.default_rng(1))
    assert (found.slo_points, found.cost_ratio) == ((0, 0, 0), (1, 1, 1))


def test_the_front_has_what_no_other_beats_in_both() -> None:
    points = [(99.0, 2.0), (95.0, 1.0), (94.0, 1.5), (99.0, 3.0), (99.0, 2.0), (98.0, 2.0)]
    assert pareto_front(points) == [True, True, False, False, True, False]
