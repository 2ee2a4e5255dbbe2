"""The engine in the simulator, on generated traces: what it must keep whatever its constants are."""

import numpy as np
import pytest

from autoglm_api.spec import Scaling
from autoglm_operator.simulate.faults import Faults, parse_fault
from autoglm_operator.simulate.fluid import simulate_fluid
from autoglm_operator.simulate.measures import measured
from autoglm_operator.simulate.ours import ours
from autoglm_operator.simulate.policies import Sizing
from autoglm_operator.simulate.replay import Result, Run
from autoglm_operator.simulate.service import Service
from autoglm_operator.simulate.traces import Rates

MU = 1000.0
TICK = 5.0
PEAK = range(600, 1500)


def peak(rng_seed: int = 1) -> Rates:
    """45 minutes: 8 replicas' worth of tokens, a rise to 24 within two minutes, and back."""
    at = np.arange(2700)
    level = 8 + 16 * np.clip((at - PEAK.start) / 120, 0, 1) - 16 * np.clip((at - PEAK.stop) / 120, 0, 1)
    queries = np.random.default_rng(rng_seed).poisson(level * MU * 0.85 / 500).astype(np.float64)
    return Rates(queries, queries * 500)


def replayed(*faults: str) -> Result:
    rates = peak()
    run = Run(Service(capacity_tokens=MU, startup_seconds=60), faults=Faults.of(map(parse_fault, faults)))
    sizing = Sizing(Scaling(min_replicas=1, max_replicas=100), MU, 8, 60.0, 5.0, rates.peak_tokens())
    return simulate_fluid(rates, lambda: ours(sizing), run)


def shrinks(result: Result, start: int, stop: int) -> int:
    return int((np.diff(result.asked[start:stop]) < 0).sum())


def test_a_peak_is_met_at_a_sound_cost() -> None:
    figures = measured(replayed())
    assert (figures["sloAttainmentPercent"] or 0) > 85
    assert (figures["costVsOracle"] or 9) < 1.75  # half of the trace is the way down, which takes its time
    assert (figures["flapsPerHour"] or 0) <= 4  # three turns: into the valley, into the peak, out of its overshoot


@pytest.mark.parametrize("start", [620, 1520])
def test_no_metrics_for_five_minutes_shrink_nothing(start: int) -> None:
    result = replayed(f"outage@{start}+300")
    assert shrinks(result, start + 15, start + 300 + 290) == 0


def test_part_of_the_metrics_shrink_nothing() -> None:
    assert shrinks(replayed("partial@300+1800:0.3"), 315, 2100) == 0


def test_a_restart_at_the_peak_that_loses_all_memory_shrinks_nothing_for_a_window() -> None:
    assert shrinks(replayed("restart@1000+30"), 1000, 1330) == 0


def test_a_profile_that_promises_too_much_is_found_out() -> None:
    result = replayed("profile:0.7")
    late = result.waits[1200:1500] > result.slo_wait_seconds
    assert late.mean() < 0.05
    assert result.asked[1400] >= 24 / 0.7


def test_a_quota_stops_the_asking() -> None:
    asked = replayed("quota@0+2700:15").asked
    assert len(np.unique(asked[720 : PEAK.stop])) == 1


def stepped(scrape_seconds: int, factor: float, rng_seed: int = 1) -> tuple[Result, int]:
    """Twenty minutes of 10 replicas' worth of tokens, then `factor` times that; also the second of the step."""
    at = np.arange(2400)
    level = np.where(at < 1200, 10, 10 * factor)
    queries = np.random.default_rng(rng_seed).poisson(level * MU * 0.85 / 50).astype(np.float64)
    rates = Rates(queries, queries * 50)
    run = Run(Service(capacity_tokens=MU, startup_seconds=60), scrape_seconds=scrape_seconds)
    sizing = Sizing(Scaling(min_replicas=1, max_replicas=100), MU, 8, 60.0, TICK, rates.peak_tokens())
    return simulate_fluid(rates, lambda: ours(sizing), run), 1200


@pytest.mark.parametrize("factor", [2.0, 3.0, 5.0])
@pytest.mark.parametrize("scrape_seconds", [5, 15])
def test_a_step_of_the_load_is_answered_within_a_scrape_and_a_tick(scrape_seconds: int, factor: float) -> None:
    result, step = stepped(scrape_seconds, factor)
    grown = np.flatnonzero(np.diff(result.asked[step:]) > 0)
    assert grown[0] + 1 <= scrape_seconds + TICK
    minute = result.asked[step + 60]
    assert minute >= 10 * factor


@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_seldom_scrapes_cost_little(factor: float) -> None:
    often, seldom = (measured(stepped(seconds, factor)[0]) for seconds in (5, 15))
    assert seldom["gpuHours"] == pytest.approx(often["gpuHours"], rel=0.10)
