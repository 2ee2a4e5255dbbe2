"""A rise that goes on is told from chance."""

import random

from autoglm_operator.scaling.trend import MOST_SHARE, Point, expected_rise, window_seconds

STEP = 15.0


def line(*rates: float) -> list[Point]:
    return [Point((len(rates) - 1 - index) * STEP, round(rate * 1000)) for index, rate in enumerate(rates)]


def test_a_steady_rise_goes_on_for_a_startup_time_and_the_age_of_the_rate() -> None:
    rise = expected_rise(line(*range(1000, 1130, 10)), 10_000_000, startup_seconds=120)
    assert 99_000 <= rise <= 100_000  # 10 per 15 s, for 150 s


def test_a_fall_a_level_and_a_short_past_promise_nothing() -> None:
    assert expected_rise(line(*range(1000, 500, -40)), 500_000, 120) == 0
    assert expected_rise(line(*[1000] * 12), 1_000_000, 120) == 0
    assert expected_rise(line(1000, 1100, 1200), 1_200_000, 120) == 0
    assert expected_rise([Point(0.0, 1000)] * 9, 1_000_000, 120) == 0


def test_chance_is_no_trend() -> None:
    chance = random.Random(5)
    found = [expected_rise(line(*[1000 + chance.gauss(0, 50) for _ in range(13)]), 1_000_000, 120) for _ in range(200)]
    assert sum(rise > 0 for rise in found) <= 6


def test_a_jump_promises_no_more_than_a_share_of_the_rate() -> None:
    assert expected_rise(line(*range(100, 4000, 300)), 4_000_000, 300) == MOST_SHARE * 4_000_000


def test_the_line_is_as_long_as_a_startup_within_bounds() -> None:
    assert [window_seconds(startup) for startup in (10, 240, 3000)] == [180, 240, 300]
