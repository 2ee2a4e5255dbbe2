from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from autoglm_operator.simulate.faults import Faults, parse_fault
from autoglm_operator.simulate.fluid import simulate_fluid
from autoglm_operator.simulate.measures import measured, slo_attainment
from autoglm_operator.simulate.policy import View
from autoglm_operator.simulate.replay import Result, Run
from autoglm_operator.simulate.service import Service
from autoglm_operator.simulate.static import Static
from autoglm_operator.simulate.traces import Rates

SERVICE = Service(capacity_tokens=100.0, startup_seconds=30.0)


@dataclass
class Script:
    """Asks for what a function of the view says, and remembers the views."""

    size: Callable[[View], int]
    tick_seconds: float = 5.0
    name: str = "script"
    views: list[View] = field(default_factory=list)

    def decide(self, view: View) -> int:
        self.views.append(view)
        return self.size(view)


def steady(tokens: float, seconds: int = 300) -> Rates:
    return Rates(np.full(seconds, tokens / 10), np.full(seconds, tokens))


def run(rates: Rates, script: Script | Static, *faults: str, initial: int = 2, maximum: int = 50) -> Result:
    settings = Run(SERVICE, maximum=maximum, initial=initial, faults=Faults.of(parse_fault(one) for one in faults))
    return simulate_fluid(rates, lambda: script, settings)


def keep(view: View) -> int:
    return view.current


def test_a_pool_that_is_large_enough_lets_nobody_wait() -> None:
    result = run(steady(200), Static(2))
    assert measured(result)["sloAttainmentPercent"] == 100
    assert result.waits.max() < 1e-6
    assert result.queued_tokens.max() == 0


def test_a_burst_waits_for_exactly_the_work_before_it() -> None:
    tokens = np.zeros(60)
    tokens[10] = 1000.0
    result = run(Rates(tokens / 10, tokens), Static(2))
    assert result.waits[10] == pytest.approx(2.5 - 0.5)
    assert result.queued_tokens[[9, 10, 11, 14]].tolist() == [0, 800, 600, 0]


def test_an_overload_waits_longer_and_longer() -> None:
    result = run(steady(400), Static(2))
    assert result.waits[100] == pytest.approx(100.5, abs=0.1)
    assert slo_attainment(result.within, result.arrived) < 2


def test_waiting_queries_are_those_that_came_last() -> None:
    script = Script(keep)
    run(steady(400), script)
    view = script.views[4]
    assert (view.sampled_at, view.queued_tokens) == (15, 15 * 200)
    assert view.queued == pytest.approx(view.queued_tokens / 10)


def test_a_scrape_is_as_old_as_its_interval_and_nothing_is_known_before_the_first() -> None:
    script = Script(keep)
    run(steady(150, 61), script)
    assert [view.sampled_at for view in script.views] == [None] * 3 + [15] * 3 + [30] * 3 + [45] * 3 + [60]
    view = script.views[-1]
    assert (view.offered_tokens, view.offered_tokens_now) == (150, 150)
    assert view.served_tokens == pytest.approx(150, rel=0.01), "the first queries fill the slots"
    assert (view.offered_queries, view.utilization) == (15, 0.75)


def test_new_replicas_serve_after_their_start_and_report_it() -> None:
    script = Script(lambda _: 4)
    result = run(steady(100, 60), script)
    assert result.asked.tolist() == [4.0] * 60
    assert result.ready.tolist() == [2.0] * 30 + [4.0] * 30
    assert result.held.tolist() == [4.0] * 60
    assert [view.became_ready for view in script.views if view.became_ready] == [(30.0, 30.0)]


def test_the_bounds_hold_whatever_the_policy_asks() -> None:
    assert run(steady(100), Script(lambda _: 1000), maximum=7).asked.max() == 7
    assert run(steady(100), Script(lambda _: -5)).asked.min() == 1


def test_in_an_outage_a_policy_sees_no_figures() -> None:
    script = Script(keep)
    run(steady(150), script, "outage@100+50")
    dark = [view.now for view in script.views if view.sampled_at is None and view.now > 15]
    assert dark == list(range(100, 150, 5))
    assert {view.offered_tokens for view in script.views if view.now in dark} == {0.0}


def test_missing_sources_lower_the_sums_and_not_the_means() -> None:
    script = Script(keep)
    run(steady(150), script, "partial@100:0.4")
    view = script.views[-1]
    assert view.offered_tokens == pytest.approx(90)
    assert (view.partial, view.utilization) == (0.4, 0.75)


def test_a_restart_makes_the_policy_anew_unless_the_state_is_kept() -> None:
    made = []

    def make() -> Script:
        made.append(Script(keep))
        return made[-1]

    for fault, count in (("restart@100+20", 2), ("restart@100+20:kept", 1)):
        made.clear()
        simulate_fluid(steady(150), make, Run(SERVICE, faults=Faults.of([parse_fault(fault)])))
        asked_at = [view.now for script in made for view in script.views]
        assert len(made) == count
        assert not [now for now in asked_at if 100 <= now < 120]


def test_lost_nodes_take_replicas_that_come_back() -> None:
    result = run(steady(150), Static(10), "nodeloss@100:0.2", initial=10)
    assert (result.ready[99], result.ready[100], result.ready[130]) == (10, 8, 10)


def test_a_quota_leaves_replicas_unschedulable() -> None:
    script = Script(lambda _: 10)
    result = run(steady(150), script, "quota@0+100:4")
    assert (result.ready[99], result.ready[131]) == (4, 10)
    seen = [(view.unschedulable, view.unschedulable_seconds) for view in script.views]
    assert seen[2] == (6, 10.0)
    assert seen[-1] == (0, 0.0)


@pytest.mark.parametrize(("factor", "attainment"), [("0.7", 2.0), ("1.3", 100.0)])
def test_a_wrong_profile_changes_what_replicas_do(factor: str, attainment: float) -> None:
    result = run(steady(195), Static(2), f"profile:{factor}")
    assert measured(result)["sloAttainmentPercent"] == pytest.approx(attainment, abs=1)


def test_queries_in_flight_follow_littles_law() -> None:
    script = Script(keep)
    run(steady(150, seconds=6000), script)
    counted = np.array([view.in_flight for view in script.views[6:]])
    batch = counted.mean() / 2
    assert batch == pytest.approx(75 * SERVICE.token_seconds(batch), rel=0.05)
    assert counted.std() == pytest.approx(np.sqrt(counted.mean()), rel=0.15), "as chance has it"
    assert counted.max() <= 2 * SERVICE.concurrency
    assert SERVICE.throughput(8) == pytest.approx(100)
    assert SERVICE.throughput(8) / SERVICE.throughput(1) == pytest.approx(4)


def test_a_replica_that_goes_keeps_its_gpu_until_its_last_query_has_ended() -> None:
    service, rest = Service(capacity_tokens=100.0, concurrency=2, batching_gain=1.6), 50.0
    both, last = rest * service.token_seconds(2) / 2, rest * service.token_seconds(1)
    assert service.drain_seconds(2, rest) == pytest.approx(both + last)
    assert service.drain_seconds(0.2, rest) == pytest.approx(last)
    held = []
    for tokens in (350.0, 10.0):
        rates = Rates(np.full(300, tokens / 1000), np.full(300, tokens))
        held.append(run(rates, Script(lambda view: 4 if view.now < 200 else 2), initial=4).held[200:])
    busy, idle = ((one > 2).sum() for one in held)
    assert busy > 2 * idle > 0


def test_free_slots_take_a_burst_that_is_more_than_a_second_of_work() -> None:
    """Eight replicas have 64 slots; two seconds' work of forty queries finds most of them free."""
    tokens = np.full(120, 80.0)
    tokens[60] = 1600.0
    queries = np.full(120, 2.0)
    queries[60] = 40.0
    result = run(Rates(queries, tokens), Static(8), initial=8)
    assert result.queued_tokens[60] < 0.7 * (1600 - 800)
    assert result.waits[60] < 1
