"""The published rules as policies: what each answers to a few views."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from autoglm_operator.simulate.baselines.dynamo import dynamo, dynamo_trend, kalman_trend
from autoglm_operator.simulate.baselines.hpa import hpa_concurrency, hpa_token_rate, hpa_utilization
from autoglm_operator.simulate.baselines.knative import knative
from autoglm_operator.simulate.baselines.ray_serve import ray_serve
from autoglm_operator.simulate.baselines.wva import wva
from autoglm_operator.simulate.policies import POLICIES, Sizing, factory_of
from autoglm_operator.simulate.policy import Policy, View
from support.scaling_pools import scaling

SIZING = Sizing(
    scaling=scaling(1, 100),
    capacity_tokens=1000.0,
    concurrency=10,
    startup_seconds=120.0,
    tick_seconds=5.0,
    peak_tokens=20_000.0,
)
CALM = View(
    now=0.0,
    current=10,
    ready=10,
    sampled_at=0.0,
    queued=0.0,
    in_flight=70.0,
    queued_tokens=0.0,
    offered_tokens=7000.0,
    offered_tokens_now=7000.0,
    served_tokens=7000.0,
    utilization=0.7,
    offered_queries=14.0,
    became_ready=(),
    unschedulable=0,
)
PUBLISHED = sorted(POLICIES.keys() - {"ours", "static"})


def sizes(policy: Policy, view: View, seconds: Iterable[float]) -> list[int]:
    """Ask at each time; the size asked for is carried out, and new replicas are ready at once."""
    answers, current = [], view.current
    for now in seconds:
        current = policy.decide(replace(view, now=now, sampled_at=now, current=current, ready=current))
        answers.append(current)
    return answers


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_rule_goes_by_its_name_and_keeps_the_size_without_metrics(name: str) -> None:
    policy = factory_of(name)(SIZING)
    blind = replace(CALM, sampled_at=None, in_flight=0.0, offered_tokens=0.0, utilization=0.0)
    answers = [policy.decide(replace(blind, now=now)) for now in (0.0, 60.0, 180.0, 1000.0)]
    assert (policy.name, answers) == (name, [10, 10, 10, 10])


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_rule_grows_under_overload_and_stays_within_the_bounds(name: str) -> None:
    flood = replace(CALM, queued=5000.0, in_flight=100.0, offered_tokens=90_000.0, utilization=1.0)
    grown = sizes(factory_of(name)(SIZING), flood, range(0, 600, 2))
    assert max(grown) > 10
    assert max(grown) <= 100


HPA_CASES = [
    # policy, figures -> size after one sync
    (hpa_utilization, {"utilization": 0.70}, 10),
    (hpa_utilization, {"utilization": 0.84}, 12),
    (hpa_utilization, {"utilization": 1.00}, 15),
    (hpa_utilization, {"utilization": 1.00, "ready": 5}, 10),  # starting pods count as idle on the way up
    (hpa_utilization, {"utilization": 1.00, "partial": 0.2}, 12),
    (hpa_token_rate, {"offered_tokens": 7000.0}, 10),
    (hpa_token_rate, {"offered_tokens": 9100.0}, 13),
    (hpa_token_rate, {"offered_tokens": 9100.0, "ready": 0}, 13),  # readiness does not matter
    (hpa_token_rate, {"offered_tokens": 90_000.0}, 20),  # twice the size at most
    (hpa_token_rate, {"offered_tokens": 700.0}, 10),  # the seeded window holds
    (hpa_concurrency, {"in_flight": 84.0}, 12),
    (hpa_concurrency, {"in_flight": 70.0, "queued": 35.0}, 15),
]


@pytest.mark.parametrize(("make", "figures", "size"), HPA_CASES)
def test_hpa(make: type, figures: dict[str, float], size: int) -> None:
    view = replace(CALM, **figures)  # type: ignore[arg-type]
    assert make(SIZING).decide(view) == size


def test_hpa_shrinks_after_its_window() -> None:
    quiet = replace(CALM, offered_tokens=2100.0)
    answers = sizes(hpa_token_rate(SIZING), quiet, range(0, 331, 15))
    assert answers[:21] == [10] * 21
    assert answers[-1] == 3


def test_knative_starts_in_panic_and_follows_later() -> None:
    quiet = replace(CALM, in_flight=28.0)
    answers = sizes(knative(SIZING), quiet, range(0, 80, 2))
    assert answers[:31] == [10] * 31
    assert answers[-1] == 4


def test_knative_asks_for_all_of_a_burst_at_once() -> None:
    burst = replace(CALM, queued=630.0)
    assert sizes(knative(SIZING), burst, [0, 2]) == [100, 100]


def test_knative_counts_silent_pods_as_the_mean_of_the_others() -> None:
    half = replace(CALM, in_flight=70.0, partial=0.5)
    assert sizes(knative(SIZING), half, [0]) == [20]


def test_ray_serve_waits_30_seconds_to_grow_and_600_to_shrink() -> None:
    busy, quiet = replace(CALM, in_flight=98.0), replace(CALM, in_flight=42.0)
    assert sizes(ray_serve(SIZING), busy, range(0, 50, 10)) == [10, 10, 10, 14, 14]
    shrinking = sizes(ray_serve(SIZING), quiet, range(0, 620, 10))
    assert (shrinking[59], shrinking[60]) == (10, 6)


def test_ray_serve_starts_counting_anew_after_a_reversal() -> None:
    policy = ray_serve(SIZING)
    busy, quiet = replace(CALM, in_flight=200.0), replace(CALM, in_flight=10.0)
    assert sizes(policy, busy, [0]) == [10]
    assert sizes(policy, quiet, [10, 20, 30]) == [10] * 3  # at 30 the look-back is quiet: the wish turns
    assert sizes(policy, busy, [40, 50, 60]) == [10] * 3
    assert sizes(policy, busy, [70]) == [29]


def test_wva_counts_pods_that_start_and_looks_once_a_minute() -> None:
    busy = replace(CALM, in_flight=100.0, queued=36.0)  # 136 / 0.85 = 160 slots of 8 that count: 20
    assert sizes(wva(SIZING), busy, [0, 15, 30]) == [20, 20, 20]
    policy = wva(SIZING)
    assert policy.decide(replace(busy, current=20, ready=10)) == 20
    assert policy.decide(replace(busy, now=15.0, queued=900.0, current=20, ready=10)) == 20


def test_wva_keeps_what_is_between_both_thresholds() -> None:
    assert sizes(wva(SIZING), replace(CALM, in_flight=60.0), range(0, 900, 15))[-1] == 10
    assert sizes(wva(SIZING), replace(CALM, in_flight=28.0), range(0, 900, 15))[-1] == 5


def test_dynamo_changes_at_the_end_of_an_interval_only() -> None:
    policy = dynamo(SIZING)
    assert sizes(policy, replace(CALM, offered_tokens=17_000.0), [0, 60, 120, 180]) == [10, 10, 10, 20]
    assert sizes(policy, replace(CALM, current=20, offered_tokens=850.0), [240, 300, 360]) == [20, 20, 1]


def test_the_trend_runs_ahead_of_a_ramp_and_rests_on_a_plateau() -> None:
    assert kalman_trend([float(load) for load in range(10, 40)]) > 39
    assert kalman_trend([10.0] * 30) == pytest.approx(10, abs=0.5)
    assert kalman_trend([3.0, 9.0]) == 9
    assert dynamo_trend(SIZING).name == "dynamo-trend"
