"""What always holds of the rules that ours are compared with."""

import json
import math
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_operator.scaling import hpa, keda, kpa
from support.scaling_times import at

FEW = settings(max_examples=60)
LEVELS = st.lists(st.integers(0, 5000), min_size=1, max_size=12)


def fleet(size: int, second: float = 0) -> hpa.Fleet:
    ready = hpa.Readiness(is_false=False, is_true=True, changed_at=at(-9999))
    pods = tuple(hpa.Pod(f"pod-{index}", readiness=ready, started_at=at(-9999)) for index in range(size))
    return hpa.Fleet(size, size, pods, at(second))


def usage(levels: list[int]) -> dict[str, hpa.Usage]:
    return {f"pod-{index}": hpa.Usage(level, at(0), at(60) - at(0)) for index, level in enumerate(levels)}


@FEW
@given(LEVELS, st.integers(0, 12), st.integers(1, 5000))
def test_pods_without_a_sample_never_make_the_change_bigger(levels: list[int], silent: int, target: int) -> None:
    size = len(levels) + silent
    known = hpa.PodsAverage(target, usage(levels)).proposal(fleet(len(levels))) / len(levels)
    proposal = hpa.PodsAverage(target, usage(levels)).proposal(fleet(size))
    assert min(1.0, known) <= (proposal + 1) / size
    assert (proposal - 1) / size <= max(1.0, known)


@FEW
@given(st.integers(1, 30), st.integers(1, 30), st.lists(st.one_of(st.none(), st.integers(0, 100_000)), max_size=20))
def test_an_hpa_keeps_within_bounds_and_never_shrinks_blind(
    current: int, maximum: int, usages: list[int | None]
) -> None:
    bounds, history, size = hpa.Bounds(1, maximum), hpa.History(), min(current, maximum)
    for tick, milli in enumerate(usages):
        metric = hpa.Unavailable("gone") if milli is None else hpa.AverageValue(1000, [milli])
        step = hpa.reconcile(hpa.Autoscaler(bounds, (metric,)), fleet(size, 15 * tick), history)
        assert 1 <= step.replicas <= maximum
        assert milli is not None or step.replicas == size
        history, size = step.history, step.replicas


@FEW
@given(st.integers(0, 40), st.lists(st.tuples(st.floats(0, 9999), st.floats(0, 9999)), max_size=40))
def test_panic_never_shrinks(ready: int, loads: list[tuple[float, float]]) -> None:
    memory, profile, before = kpa.started(ready, at(0)), kpa.Profile.of(10), 0
    for tick, (stable, panic) in enumerate(loads):
        was_panicking = memory.panic_at is not None
        scale, memory = kpa.decide(stable, panic, ready, profile, memory, at(2 * tick))
        assert scale.size is not None
        assert scale.size >= before or not (was_panicking and scale.panicking)
        before = scale.size


@FEW
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=80), st.integers(1, 60))
def test_averages_lie_between_the_least_and_the_most(values: list[float], window: int) -> None:
    buckets = [kpa.Bucket(second, value) for second, value in enumerate(values)]
    average = kpa.window_average(buckets, len(values) - 1, window)
    assert average is not None
    assert min(values) - 1e-5 <= average <= max(values) * (1 + 1e-9)
    weighted = kpa.exponential_average(buckets, len(values) - 1, window)
    assert weighted is not None
    assert weighted <= max(values) * (1 + 1e-9)


@FEW
@given(st.floats(allow_nan=True, allow_infinity=True), st.booleans())
def test_a_reply_is_its_number_or_nothing(value: float, ignore: bool) -> None:  # noqa: FBT001
    body = json.dumps({"data": {"result": [{"metric": {}, "value": [1, str(value)]}]}}).encode()
    if math.isfinite(value):
        assert keda.value_of(200, body, ignore_null_values=ignore) == value
    elif ignore:
        assert keda.value_of(200, body) == 0.0


@FEW
@given(
    st.integers(1, 10_000).map(lambda units: units * 1000),
    st.integers(0, 200),
    st.integers(0, 200),
    st.sampled_from([behavior for behavior in keda.Behavior if behavior is not keda.Behavior.SCALING_MODIFIERS]),
)
def test_an_hpa_on_a_fallback_metric_wants_the_fallback_size(
    target: int, current: int, replicas: int, behavior: keda.Behavior
) -> None:
    fallback = keda.Fallback(0, replicas, behavior)
    served, _ = keda.with_fallback(None, 0, keda.Trigger(target), fallback, keda.Workload(current, current))
    assert isinstance(served, keda.Served)
    wanted = keda.fallback_size(fallback, current)
    moved = hpa.AverageValue(target, [served.milli]).proposal(replace(fleet(0), status_replicas=10 * wanted + 7))
    assert moved == wanted
