import pytest

from autoglm_api.status import Reason
from autoglm_operator.scaling.behavior import Bounds
from autoglm_operator.scaling.history import History
from autoglm_operator.scaling.hpa.metrics import AverageValue, Fleet, Metric, PodsAverage, Unavailable
from autoglm_operator.scaling.hpa.step import Autoscaler, reconcile
from support.scaling_times import at, behavior, pods

GONE = Unavailable("unable to get metric")


def fleet(current: int, seconds: float = 0) -> Fleet:
    return Fleet(current, current, (), at(seconds))


def asks_for(size: int) -> Metric:
    return AverageValue(1000, [size * 1000])


STEPS = [
    # current, bounds, metrics -> size, active, reason
    (0, (1, 10), [asks_for(5)], 0, False, None),  # ScalingDisabled
    (12, (1, 10), [GONE], 10, True, Reason.TOO_MANY_REPLICAS),  # bounds need no metrics
    (1, (3, 10), [GONE], 3, True, Reason.TOO_FEW_REPLICAS),
    (3, (1, 10), [asks_for(5)], 5, True, Reason.DESIRED_WITHIN_RANGE),
    (3, (1, 10), [asks_for(5), asks_for(4)], 5, True, Reason.DESIRED_WITHIN_RANGE),
    (3, (1, 10), [GONE, asks_for(5)], 5, True, Reason.DESIRED_WITHIN_RANGE),  # up with part of the metrics
    (3, (1, 10), [asks_for(1), GONE], 3, False, None),  # but not down
    (3, (1, 10), [GONE, asks_for(3)], 3, True, Reason.DESIRED_WITHIN_RANGE),
    (3, (1, 10), [GONE], 3, False, None),
    (3, (1, 10), [asks_for(20)], 6, True, Reason.SCALE_UP_LIMIT),
    (3, (1, 5), [asks_for(20)], 5, True, Reason.TOO_MANY_REPLICAS),
    (3, (1, 10), [asks_for(1)], 3, True, Reason.DESIRED_WITHIN_RANGE),  # the seeded history holds
]


@pytest.mark.parametrize(("current", "bounds", "metrics", "size", "active", "reason"), STEPS)
def test_first_reconcile_without_behavior(
    current: int, bounds: tuple[int, int], metrics: list[Metric], size: int, reason: Reason | None, *, active: bool
) -> None:
    step = reconcile(Autoscaler(Bounds(*bounds), tuple(metrics)), fleet(current), History())
    assert (step.replicas, step.scaling_active, step.reason) == (size, active, reason)


OWN = PodsAverage(1000, {})
ZERO = [
    # current, minimum, condition ScaledToZero, metric -> size, active, condition afterwards
    (0, 0, None, asks_for(5), 0, False, None),  # gate off: zero is somebody else's wish
    (0, 0, True, asks_for(5), 5, True, False),
    (0, 0, True, asks_for(0), 0, True, True),
    (0, 0, True, GONE, 0, False, True),
    (0, 0, True, OWN, 0, False, True),  # at zero there is no pod whose metric could wake it
    (0, 0, False, asks_for(5), 0, False, False),  # a manual zero disables
    (0, 2, True, asks_for(0), 2, True, False),  # a raised minimum wakes it
    (0, 2, True, asks_for(5), 5, True, False),
    (0, 2, True, OWN, 0, False, True),  # but not without a valid metric
    (0, 2, False, asks_for(5), 0, False, False),
    (1, 0, False, asks_for(0), 0, True, True),  # it scales to zero itself
    (1, 0, None, asks_for(0), 0, True, None),
    (1, 0, True, asks_for(1), 1, True, True),  # the condition changes with the size only
    (3, 0, True, asks_for(5), 5, True, False),
]


@pytest.mark.parametrize(("current", "minimum", "condition", "metric", "size", "active", "afterwards"), ZERO)
def test_zero(
    current: int,
    minimum: int,
    condition: bool | None,  # noqa: FBT001
    metric: Metric,
    size: int,
    active: bool,  # noqa: FBT001
    afterwards: bool | None,  # noqa: FBT001
) -> None:
    rules = behavior(up={"policies": [pods(50, 15)]}, down={"stabilizationWindowSeconds": 0})
    autoscaler = Autoscaler(Bounds(minimum, 10), (metric,), rules, scaled_to_zero=condition)
    step = reconcile(autoscaler, fleet(current), History())
    assert (step.replicas, step.scaling_active, step.scaled_to_zero) == (size, active, afterwards)


TOLERANCES = [
    # scaleUp's, scaleDown's, usage of 10 replicas at 1 -> size
    (None, None, 11_000, 10),
    ("50m", None, 11_000, 11),
    (None, "0.05", 11_000, 10),
    (None, "0.05", 9_400, 10),  # ceil(9.4)
    (None, "0.05", 8_900, 9),
    ("0.3", "0.3", 13_000, 10),
    ("0.3", "0.3", 13_001, 14),
    ("0", "0", 10_001, 11),
]


@pytest.mark.parametrize(("up", "down", "usage", "size"), TOLERANCES)
def test_a_behaviors_tolerance_overrules_the_controllers(
    up: str | None, down: str | None, usage: int, size: int
) -> None:
    rules = behavior(
        up={"tolerance": up} if up else {},
        down={"stabilizationWindowSeconds": 0, **({"tolerance": down} if down else {})},
    )
    step = reconcile(Autoscaler(Bounds(1, 100), (AverageValue(1000, [usage]),), rules), fleet(10), History())
    assert step.replicas == size


def test_a_write_that_fails_is_a_recommendation_but_no_event() -> None:
    rules = behavior(up={"policies": [pods(2, 60)]})
    step = reconcile(Autoscaler(Bounds(1, 10), (asks_for(9),), rules), fleet(1), History())
    assert (len(step.history.grown), len(step.history_if_unwritten.grown)) == (1, 0)
    assert step.history.recommendations == step.history_if_unwritten.recommendations
    again = reconcile(Autoscaler(Bounds(1, 10), (asks_for(9),), rules), fleet(1, 15), step.history_if_unwritten)
    assert again.replicas == 3


def test_stabilisation_is_told_apart_from_the_limits() -> None:
    step = reconcile(Autoscaler(Bounds(1, 10), (asks_for(1),)), fleet(5), History())
    assert (step.replicas, step.stabilization, step.is_limited) == (5, Reason.SCALE_DOWN_STABILIZED, False)


def test_a_negative_metric_means_none() -> None:
    rules = behavior(down={"stabilizationWindowSeconds": 0})
    metric = AverageValue(1000, [-5000], is_external=False)
    step = reconcile(Autoscaler(Bounds(2, 10), (metric,), rules), fleet(5), History())
    assert (step.replicas, step.reason) == (2, Reason.TOO_FEW_REPLICAS)
    assert step.history.recommendations[-1].replicas == 0


def test_a_change_at_the_bounds_is_an_event_too() -> None:
    rules = behavior(up={"policies": [pods(2, 60)]})
    autoscaler = Autoscaler(Bounds(3, 10), (asks_for(9),), rules)
    first = reconcile(autoscaler, fleet(1, 0), History())
    second = reconcile(autoscaler, fleet(3, 15), first.history)
    third = reconcile(autoscaler, fleet(3, 60), second.history)
    assert (first.replicas, second.replicas, third.replicas) == (3, 3, 5)
    assert second.reason is Reason.SCALE_UP_LIMIT


def test_a_disabled_reconcile_still_seeds_the_history() -> None:
    step = reconcile(Autoscaler(Bounds(1, 10), ()), fleet(0, 7), History())
    assert [(entry.at, entry.replicas) for entry in step.history.recommendations] == [(at(7), 0)]


def test_the_legacy_window_holds_for_300_seconds_and_not_longer() -> None:
    autoscaler = Autoscaler(Bounds(1, 10), (asks_for(2),))
    history, sizes, current = History(), [], 5
    for second in range(0, 330, 15):
        step = reconcile(autoscaler, fleet(current, second), history)
        history, current = step.history, step.replicas
        sizes.append((second, current))
    assert [second for second, size in sizes if size == 5][-1] == 300
    assert sizes[-1] == (315, 2)
