"""When a gateway refuses new queries because its processor is behind, and what its probes say meanwhile."""

import pytest

from autoglm_gateway.overload import SHED_SECONDS, Pressure
from autoglm_gateway.pulse import DEAD_SECONDS, UNREADY_SECONDS, Pulse


def pressed(*lags: float) -> Pressure:
    pressure = Pressure()
    for lag in lags:
        pressure.lagged(lag)
    return pressure


@pytest.mark.parametrize(
    ("lags", "sheds"),
    [
        ((), False),
        ((0.0,) * 50, False),
        ((3.0,), False),
        ((60.0,), False),  # stopped for a minute, and well again
        ((SHED_SECONDS,) * 100, False),
        ((3.0,) * 4, True),
        ((60.0,) * 2, True),
    ],
)
def test_only_lasting_lag_is_overload(lags: tuple[float, ...], *, sheds: bool) -> None:
    assert pressed(*lags).sheds is sheds


def test_queries_are_taken_again_seconds_after_the_loop_is_in_time() -> None:
    pressure = pressed(*(5.0,) * 20)
    assert pressure.sheds
    wakes = 0
    while pressure.sheds:
        pressure.lagged(0.0)
        wakes += 1
    assert 20 <= wakes <= 100, "two to ten seconds"


@pytest.mark.parametrize(
    ("after", "alive", "ready"),
    [
        (0.0, True, True),
        (UNREADY_SECONDS, True, True),
        (UNREADY_SECONDS + 1, True, False),
        (DEAD_SECONDS, True, False),
        (DEAD_SECONDS + 1, False, False),
    ],
)
def test_a_loop_that_stands_still_is_first_unready_and_then_dead(after: float, *, alive: bool, ready: bool) -> None:
    pulse = Pulse(100.0)
    pulse.beat(100.0, True, "ready")
    assert pulse.alive(100.0 + after)[0] is alive
    assert pulse.ready(100.0 + after)[0] is ready


def test_a_pulse_begins_unready_and_says_what_is_missing() -> None:
    pulse = Pulse(0.0)
    assert pulse.ready(0.0) == (False, "starting")
    pulse.beat(1.0, False, "no endpoints yet")
    assert pulse.ready(1.0) == (False, "no endpoints yet")
    assert pulse.ready(1000.0) == (False, "no endpoints yet")
    pulse.beat(2000.0, True, "ready")
    assert pulse.ready(2001.0) == (True, "ready")
    assert "stands still for 99 s" in pulse.alive(2099.0)[1]
