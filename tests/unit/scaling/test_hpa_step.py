import pytest

from autoglm_api.status import Reason
from autoglm_operator.scaling.behavior import Bounds
from autoglm_operator.scaling.history import History
from autoglm_operator.scaling.hpa.metrics import AverageValue, Fleet, Metric, Unavailable
from autoglm_operator.scaling.hpa.pods import Timing
from autoglm_operator.scaling.hpa.step import Autoscaler, reconcile
from autoglm_operator.scaling.rules import Tolerance
from support.scaling_times import at, behavior, pods

GONE = Unavailable("unable to get metric")


def fleet(current: int, seconds: float = 0) -> Fleet:
    return Fleet(current, current, (), Tolerance(), Timing(), at(seconds))


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


ZERO = [
    # current, minimum, condition ScaledToZero -> size, active
    (0, 0, None, 5, True),  # gate off: a minimum of zero lets metrics wake it
    (0, 0, True, 5, True),
    (0, 0, False, 0, False),  # a manual zero disables
    (0, 2, True, 2, True),  # a raised minimum wakes it
    (0, 2, False, 0, False),
]


@pytest.mark.parametrize(("current", "minimum", "condition", "size", "active"), ZERO)
def test_zero(current: int, minimum: int, condition: bool | None, size: int, *, active: bool) -> None:  # noqa: FBT001
    rules = behavior(up={"policies": [pods(50, 15)]})
    autoscaler = Autoscaler(Bounds(minimum, 10), (asks_for(5),), rules, scaled_to_zero=condition)
    step = reconcile(autoscaler, fleet(current), History())
    assert (step.replicas, step.scaling_active) == (size, active)


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
