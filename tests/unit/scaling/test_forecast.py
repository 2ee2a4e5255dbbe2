import math
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest

from autoglm_operator.scaling.forecast import (
    BIN_SECONDS,
    DAY,
    LONGEST_STEPS,
    REMEMBERED,
    ForecastState,
    Score,
    _cap,
    _forecast,
    floor,
    observe,
)
from support.scaling_times import at

HOUR_OF_RISE = 8 * 6
"""A bin shortly before the daily rise of `day_and_night`."""


def day_and_night(number: int) -> int:
    """Demand that is 10 by night and climbs steeply to 100 at eight in the morning, every day."""
    hour = number % DAY / 6
    return 10_000 + round(90_000 / (1 + math.exp(-4 * (hour - 9)))) if hour < 20 else 10_000


def lived(bins: Iterable[int], demand: Callable[[int], int]) -> ForecastState:
    """Feed one sample a minute of those bins, counted from the start of the test's world (midnight)."""
    state = ForecastState()
    for number in bins:
        for minute in range(10):
            state = observe(state, at(number * BIN_SECONDS + minute * 60), demand(number))
    return state


def learned(bins: int, demand: Callable[[int], int]) -> ForecastState:
    """Return what is known after that many bins, without feeding every sample."""
    first = lived([0], demand)
    return replace(first, means=tuple(demand(number) for number in range(bins))[-REMEMBERED:], bin=first.bin + bins)


def test_a_bin_is_the_mean_of_its_samples() -> None:
    state = lived(range(3), lambda number: (number + 1) * 1000)
    assert state.means == (1000, 2000)
    assert (state.total, state.samples) == (30_000, 10)


def test_what_was_seldom_seen_is_a_gap() -> None:
    state = lived([0, 1], lambda _: 5000)
    state = observe(state, at(2 * BIN_SECONDS), 9000)
    state = observe(state, at(5 * BIN_SECONDS), 7000)
    assert state.means == (5000, 5000, None, None, None)


def test_a_moment_before_the_last_is_ignored() -> None:
    state = lived([3, 4], lambda _: 5000)
    assert observe(state, at(0), 9000) == state


def test_no_more_than_eight_days_are_kept() -> None:
    assert len(lived([0, 1, 2, 5000], lambda _: 1000).means) == REMEMBERED


def test_a_daily_rise_is_met_before_it_comes() -> None:
    before = 3 * DAY + HOUR_OF_RISE
    state = learned(before, day_and_night)
    expected = floor(state, at(before * BIN_SECONDS + 300), 1800)
    assert expected is not None
    assert expected > 1.5 * day_and_night(before - 1)
    assert expected == pytest.approx(day_and_night(before + 3), rel=0.3)


@pytest.mark.parametrize(
    ("bins", "demand", "why"),
    [
        (DAY + 10, day_and_night, "not enough forecasts were tested"),
        (3 * DAY + 10, lambda _: 50_000, "steady demand: nothing to gain"),
        (3 * DAY + 20 * 6, day_and_night, "it falls"),
        (3 * DAY + HOUR_OF_RISE, lambda number: day_and_night(number * number * 7), "no two days are alike"),
        (3 * DAY, lambda _: 0, "nothing ever comes"),
        (0, lambda _: 1000, "nothing is known"),
    ],
)
def test_no_floor(bins: int, demand: Callable[[int], int], why: str) -> None:
    assert floor(learned(bins, demand), at(bins * BIN_SECONDS), 600) is None, why


@pytest.mark.parametrize("horizon", [1, 1200, 4000, 1e6])
def test_a_floor_is_never_lower_than_what_came_last(horizon: float) -> None:
    for bins in range(3 * DAY, 4 * DAY, 6):
        expected = floor(learned(bins, day_and_night), at(bins * BIN_SECONDS), horizon)
        assert expected is None or expected > day_and_night(bins - 1)


def test_a_gap_before_now_gives_no_floor() -> None:
    before = 3 * DAY + HOUR_OF_RISE
    state = learned(before, day_and_night)
    assert floor(state, at((before + 1) * BIN_SECONDS + 300), 1800) is not None
    assert floor(state, at((before + 3) * BIN_SECONDS), 1800) is None


def test_gaps_in_the_past_are_no_zeros() -> None:
    before = 3 * DAY + HOUR_OF_RISE
    state = learned(before, day_and_night)
    holes = tuple(mean if number % 50 else None for number, mean in enumerate(state.means))
    with_gaps = floor(replace(state, means=holes), at(before * BIN_SECONDS), 1800)
    assert with_gaps == pytest.approx(floor(state, at(before * BIN_SECONDS), 1800), rel=0.2)


def test_one_odd_day_makes_no_forecast_beyond_all_that_was_seen() -> None:
    odd = (*([1] * 71), *([100_000] * 73))  # nearly nothing at first: the ratio of the two is no growth
    means = (*odd, *([2000] * 70))
    assert _forecast(means, len(means) - 1, 3, 10**12) == 2000 * 100_000
    assert _forecast(means, len(means) - 1, 3, _cap(means)) == 125_000


@pytest.mark.parametrize(
    ("changed", "passes"),
    [({}, True), ({"tested": 71}, False), ({"uncovered": 0.19}, False), ({"bias": 0.21}, False)],
)
def test_the_gate(changed: dict[str, float], *, passes: bool) -> None:
    good = {"tested": 72, "uncovered": 0.18, "uncovered_by_last": 0.2, "bias": 0.2}
    assert Score(**{**good, **changed}).passes is passes  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [1, 3, LONGEST_STEPS])
def test_a_forecast_knows_nothing_of_what_comes_after_it(steps: int) -> None:
    known, cap = tuple(map(day_and_night, range(2 * DAY + HOUR_OF_RISE))), 200_000
    index = len(known) - 1
    forecasts = {_forecast((*known, *[later] * steps), index, steps, cap) for later in (0, 10_000, 900_000, None)}
    assert len(forecasts) == 1
    assert None not in forecasts
