from dataclasses import replace

import pytest

from autoglm_operator.scaling.capacity import (
    FADES_PER_HOUR,
    REMEMBERED,
    SPACING,
    UNCERTAIN_FOR,
    CapacityState,
    capacity,
    observed,
)
from autoglm_operator.scaling.model import NOT_READ, Load
from autoglm_operator.scaling.readings import Fresh
from autoglm_operator.scaling.startup import remembered, startup_seconds
from support.scaling_times import at

EXPECTED = 1_000_000


def load(served: float, queued: float, kv: float | None = None) -> Load:
    signals = {} if kv is None else {"KVCacheUse": Fresh(round(kv * 1000))}
    return Load(
        NOT_READ,
        NOT_READ,
        queued_tokens=Fresh(round(queued * 1000)),
        served_tokens=Fresh(round(served * 1000)),
        signals=signals,
    )


def after(seconds: int, given: Load, ready: int = 2, state: CapacityState | None = None) -> CapacityState:
    state = state or CapacityState()
    for second in range(0, seconds, 5):
        state = observed(state, given, ready, EXPECTED, 80, at(second))
    return state


def learned(state: CapacityState, seconds: int, expected: int | None = EXPECTED) -> int | None:
    found = capacity(state, expected, at(seconds))
    return None if found is None else found.milli


def test_before_anything_is_seen_the_spec_counts() -> None:
    assert learned(CapacityState(), 0) == EXPECTED
    assert learned(CapacityState(), 0, expected=None) is None


@pytest.mark.parametrize(
    ("seconds", "served", "queued", "milli"),
    [
        (55, 1600, 50_000, EXPECTED),  # not saturated for a whole window yet
        (75, 1600, 50_000, EXPECTED),  # one or two observations do not outweigh the spec
        (120, 1600, 50_000, 800_000),
        (120, 1600, 1000, EXPECTED),  # less than a second's work waits: not saturated
        (600, 1600, 0, EXPECTED),
    ],
)
def test_a_saturated_pool_shows_what_a_replica_can_do(seconds: int, served: float, queued: float, milli: int) -> None:
    assert learned(after(seconds, load(served, queued)), seconds) == milli


def test_without_an_expectation_the_first_observation_counts() -> None:
    assert learned(after(70, load(1600, 50_000)), 70, expected=None) == 800_000


def test_one_odd_observation_changes_nothing() -> None:
    state = after(200, load(1600, 50_000))
    odd = observed(state, load(16, 50_000), 2, EXPECTED, None, at(230))
    assert learned(odd, 230) == 800_000


def test_growing_pools_count_by_their_mean_size() -> None:
    state = CapacityState()
    for second in range(0, 120, 5):
        state = observed(state, load(3000, 90_000), 2 if second % 10 else 4, EXPECTED, None, at(second))
    assert learned(state, 120) == 1_000_000


def test_the_cache_limits_what_a_replica_can_do() -> None:
    state = after(120, load(1000, 0, kv=80))
    assert learned(state, 120) == 500_000  # 500 tokens/s each at a cache as full as it is meant to be
    assert learned(after(120, load(1000, 0, kv=5)), 120) == EXPECTED


def test_a_model_that_is_wrong_is_uncertain_for_a_while() -> None:
    state = after(70, load(1000, 50_000))
    for seconds, doubt in ((70, True), (65 + UNCERTAIN_FOR.total_seconds(), False)):
        found = capacity(state, EXPECTED, at(seconds))
        assert found is not None
        assert found.is_uncertain is doubt
    right = capacity(after(200, load(2000, 50_000)), EXPECTED, at(200))
    assert right is not None
    assert not right.is_uncertain


def worked(state: CapacityState, given: Load, hours: float, expected: int | None = EXPECTED) -> CapacityState:
    """A pool of two, looked at every 15 s from 300 s on."""
    step = int(SPACING.total_seconds())
    for second in range(300, 300 + round(hours * 3600), step):
        state = observed(state, given, 2, expected, None, at(second))
    return state


HALF_HUNG = after(200, load(1000, 50_000))
"""Each replica was seen to do 500 of 1000 tokens/s."""


def test_a_lesson_fades_in_work_that_it_does_not_limit() -> None:
    hour = learned(worked(HALF_HUNG, load(800, 0), 1), 4000)
    assert hour == pytest.approx(500_000 + FADES_PER_HOUR * 500_000, rel=0.01)
    days = learned(worked(HALF_HUNG, load(2000, 0), 48), 200_000)
    assert days == pytest.approx(EXPECTED, rel=0.01)


@pytest.mark.parametrize(
    ("served", "queued"),
    [(300, 0), (800, 100)],  # idle; something waits
)
def test_a_lesson_stays_while_nothing_contradicts_it(served: float, queued: float) -> None:
    assert learned(worked(HALF_HUNG, load(served, queued), 5), 20_000) == 500_000


def test_a_lesson_above_what_is_expected_stays() -> None:
    fast = after(200, load(3000, 50_000))
    assert learned(worked(fast, load(2500, 0), 5), 20_000) == 1_500_000


def test_without_an_expectation_a_lesson_fades_upwards_and_saturation_teaches_it_again() -> None:
    state = worked(after(200, load(1000, 50_000)), load(800, 0), 2, expected=None)
    assert (learned(state, 7500, expected=None) or 0) > 550_000
    for second in range(10_000, 10_300, 15):
        state = observed(state, load(1000, 50_000), 2, None, None, at(second))
    assert learned(state, 10_300, expected=None) == 500_000


def test_what_is_expected_alone_does_not_fade() -> None:
    assert worked(CapacityState(), load(1800, 0), 1).compute == ()


def test_a_gap_of_data_is_no_saturation() -> None:
    state = after(50, load(1600, 50_000))
    state = observed(state, replace(load(1600, 50_000), queued_tokens=NOT_READ), 2, EXPECTED, None, at(55))
    assert state.waiting_since is None


def test_the_memory_is_bounded() -> None:
    state = after(5000, load(1600, 50_000))
    assert len(state.compute) == REMEMBERED
    assert len(state.supplies) <= 13


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ((), 120.0),
        ((30.0, 31.0), 120.0),
        ((30.0, 31.0, 29.0), 31.0),
        ((*range(1, 20), 500.0), 18.0),  # nine of ten keep it
        ((0.1, 0.1, 0.1), 1.0),
    ],
)
def test_startup_is_the_90th_percentile_of_the_last_ones(times: tuple[float, ...], seconds: float) -> None:
    assert startup_seconds(times, 120.0) == seconds


def test_startup_times_are_bounded_and_sound() -> None:
    assert remembered((1.0,), (float("nan"), -1.0, 9999.0)) == (1.0, 3600.0)
    assert len(remembered(tuple(map(float, range(100))), (1.0,))) == 32
