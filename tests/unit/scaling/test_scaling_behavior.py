from dataclasses import replace
from datetime import timedelta

import pytest

from autoglm_api.spec import Behavior, SelectPolicy
from autoglm_api.status import Reason
from autoglm_operator.scaling.behavior import Bounds, Normalized, carried_out, normalize
from autoglm_operator.scaling.history import History, Recommendation, ScaleEvent, recommended, seeded
from autoglm_operator.scaling.rules import Tolerance, complete, tolerance_of
from support.scaling_times import at, behavior, percent, pods

NOW = at(1000)
FREE = behavior(
    up={"stabilizationWindowSeconds": 0, "policies": [pods(1000, 1)]},
    down={"stabilizationWindowSeconds": 0, "policies": [percent(100, 1)]},
)
WINDOWS = behavior(
    up={"stabilizationWindowSeconds": 60, "policies": [pods(1000, 1)]},
    down={"stabilizationWindowSeconds": 120, "policies": [percent(100, 1)]},
)


def past(*recommendations: tuple[float, int]) -> History:
    return History(tuple(Recommendation(at(1000 - seconds), size) for seconds, size in recommendations))


def normalized(proposal: int, current: int, history: History, rules: Behavior | None, bounds: Bounds) -> Normalized:
    return normalize(proposal, current=current, bounds=bounds, behavior=rules, history=history, now=NOW)


STABILIZE_CASES = [
    # proposal, current, past (age, size) -> size, stabilization
    (5, 3, (), 5, None),
    (5, 3, ((30, 4),), 4, Reason.SCALE_UP_STABILIZED),  # lowest of the up window
    (5, 3, ((60, 4),), 5, None),  # strict: a window old is outside
    (5, 3, ((59, 4), (30, 2)), 3, Reason.SCALE_UP_STABILIZED),
    (2, 5, ((30, 4),), 4, Reason.SCALE_DOWN_STABILIZED),  # highest of the down window
    (2, 5, ((30, 9),), 5, Reason.SCALE_DOWN_STABILIZED),  # never above current on the way down
    (2, 5, ((120, 4),), 2, None),
    (2, 5, ((119, 4),), 4, Reason.SCALE_DOWN_STABILIZED),
    (5, 5, ((30, 2), (90, 9)), 5, None),
]


@pytest.mark.parametrize(("proposal", "current", "ages", "size", "why"), STABILIZE_CASES)
def test_stabilisation_takes_the_smallest_move_of_the_window(
    proposal: int, current: int, ages: tuple[tuple[float, int], ...], size: int, why: Reason | None
) -> None:
    result = normalized(proposal, current, past(*ages), WINDOWS, Bounds(1, 100))
    assert (result.replicas, result.stabilization) == (size, why)


LIMIT_CASES = [
    # proposal, current, bounds, behavior -> size, reason
    (9, 3, (1, 10), FREE, 9, Reason.DESIRED_WITHIN_RANGE),
    (12, 3, (1, 10), FREE, 10, Reason.TOO_MANY_REPLICAS),
    (12, 10, (1, 10), FREE, 10, Reason.TOO_MANY_REPLICAS),
    (0, 3, (2, 10), FREE, 2, Reason.TOO_FEW_REPLICAS),
    (12, 3, (1, 10), behavior(up={"policies": [pods(2, 60)]}), 5, Reason.SCALE_UP_LIMIT),
    (12, 3, (1, 5), behavior(up={"policies": [pods(2, 60)]}), 5, Reason.TOO_MANY_REPLICAS),  # equal: the bound speaks
    (5, 3, (1, 10), behavior(up={"policies": [pods(2, 60)]}), 5, Reason.DESIRED_WITHIN_RANGE),
    (9, 3, (1, 10), behavior(up={"selectPolicy": "Disabled"}), 3, Reason.SCALE_UP_LIMIT),
    (
        1,
        8,
        (1, 10),
        behavior(down={"stabilizationWindowSeconds": 0, "policies": [pods(2, 60)]}),
        6,
        Reason.SCALE_DOWN_LIMIT,
    ),
    (
        1,
        8,
        (6, 10),
        behavior(down={"stabilizationWindowSeconds": 0, "policies": [pods(2, 60)]}),
        6,
        Reason.TOO_FEW_REPLICAS,
    ),
    # The legacy path: double or four, then max; min for whatever is below.
    (30, 3, (1, 100), None, 6, Reason.SCALE_UP_LIMIT),
    (30, 1, (1, 100), None, 4, Reason.SCALE_UP_LIMIT),
    (30, 3, (1, 5), None, 5, Reason.TOO_MANY_REPLICAS),
    (0, 3, (2, 5), None, 2, Reason.TOO_FEW_REPLICAS),
    (4, 3, (1, 5), None, 4, Reason.DESIRED_WITHIN_RANGE),
]


@pytest.mark.parametrize(("proposal", "current", "bounds", "rules", "size", "reason"), LIMIT_CASES)
def test_rates_and_bounds(
    proposal: int, current: int, bounds: tuple[int, int], rules: Behavior | None, size: int, reason: Reason
) -> None:
    result = normalized(proposal, current, History(), rules, Bounds(*bounds))
    assert (result.replicas, result.reason) == (size, reason)
    assert result.is_limited == (reason is not Reason.DESIRED_WITHIN_RANGE)


LEGACY_CASES = [
    (2, 5, ((300, 4),), 4),  # inclusive: 300 s old still counts
    (2, 5, ((300.001, 4),), 2),
    (2, 5, ((10, 7),), 7),  # the legacy path may even grow to what was recommended before
]


@pytest.mark.parametrize(("proposal", "current", "ages", "size"), LEGACY_CASES)
def test_legacy_window_is_inclusive(
    proposal: int, current: int, ages: tuple[tuple[float, int], ...], size: int
) -> None:
    assert normalized(proposal, current, past(*ages), None, Bounds(1, 100)).replicas == size


def test_the_raw_proposal_is_what_is_remembered() -> None:
    result = normalized(2, 5, past((30, 4)), WINDOWS, Bounds(1, 100))
    assert result.history.recommendations[-1] == Recommendation(NOW, 2)


def test_seeding_starts_with_the_current_size_and_only_once() -> None:
    first = seeded(History(), 7, at(0))
    assert first.recommendations == (Recommendation(at(0), 7),)
    assert seeded(first, 9, at(5)) == first


def test_an_outdated_recommendation_gives_its_place() -> None:
    history = past((400, 1), (350, 2), (100, 3))
    kept = recommended(history, 9, NOW, timedelta(seconds=300))
    assert [entry.replicas for entry in kept.recommendations] == [1, 9, 3]


def test_a_recommendation_of_exactly_the_window_keeps_its_place() -> None:
    kept = recommended(past((300, 7)), 9, NOW, timedelta(seconds=300))
    assert [entry.replicas for entry in kept.recommendations] == [7, 9]


def test_events_need_a_behavior_and_a_change() -> None:
    assert carried_out(History(), None, before=1, after=3, at=NOW) == History()
    assert carried_out(History(), FREE, before=3, after=3, at=NOW) == History()
    assert carried_out(History(), FREE, before=1, after=3, at=NOW).grown == (ScaleEvent(NOW, 2),)
    assert carried_out(History(), FREE, before=5, after=2, at=NOW).shrunk == (ScaleEvent(NOW, 3),)


def test_an_event_older_than_its_own_directions_period_gives_its_place() -> None:
    rules = behavior(up={"policies": [pods(1, 15)]}, down={"policies": [pods(1, 600)]})
    history = History(grown=(ScaleEvent(at(500), 5), ScaleEvent(at(995), 1)))
    assert carried_out(history, rules, before=1, after=2, at=NOW).grown == (
        ScaleEvent(NOW, 1),
        ScaleEvent(at(995), 1),
    )


def test_defaults_complete_each_direction_by_itself() -> None:
    rules = complete(behavior(up={"stabilizationWindowSeconds": 7}, down={"selectPolicy": "Min"}))
    assert (rules.up.window, rules.down.window) == (timedelta(seconds=7), timedelta(seconds=300))
    assert (rules.up.select, rules.down.select) == (SelectPolicy.MAX, SelectPolicy.MIN)
    assert [(policy.value, policy.period.seconds) for policy in rules.up.policies] == [(4, 15), (100, 15)]
    assert [(policy.value, policy.period.seconds) for policy in rules.down.policies] == [(100, 15)]


def test_a_given_policy_list_replaces_the_defaults() -> None:
    rules = complete(behavior(up={"policies": [pods(1, 30)]}))
    assert [(policy.value, policy.period.seconds) for policy in rules.up.policies] == [(1, 30)]


def test_a_tolerance_is_the_double_that_upstream_computes() -> None:
    assert tolerance_of(behavior(up={"tolerance": "59m"})).up == 59 * 0.001 != 0.059


def test_a_tolerance_that_is_not_given_is_the_controllers() -> None:
    assert tolerance_of(behavior(up={"tolerance": "0.3"}), Tolerance(0.2, 0.2)) == Tolerance(0.3, 0.2)


def test_tolerance_per_direction() -> None:
    assert tolerance_of(None) == Tolerance(0.1, 0.1)
    assert tolerance_of(behavior(up={"tolerance": "50m"}, down={"tolerance": "0.2"})) == Tolerance(0.05, 0.2)


@pytest.mark.parametrize(
    ("ratio", "kept"), [(0.9, True), (0.899, False), (1.1, True), (1.1001, False), (float("nan"), False)]
)
def test_tolerance_is_inclusive(ratio: float, *, kept: bool) -> None:
    assert Tolerance().covers(ratio) is kept


def test_history_of_rates_spans_decisions() -> None:
    rules = behavior(up={"policies": [pods(4, 60)]})
    bounds = Bounds(1, 100)
    history, size, sizes = History(), 2, []
    for tick in range(0, 150, 15):
        result = normalize(50, current=size, bounds=bounds, behavior=rules, history=history, now=at(tick))
        history = carried_out(result.history, rules, before=size, after=result.replicas, at=at(tick))
        size = result.replicas
        sizes.append(size)
    assert sizes == [6, 6, 6, 6, 10, 10, 10, 10, 14, 14]


def test_normalizing_keeps_the_events() -> None:
    history = replace(past((10, 3)), grown=(ScaleEvent(at(990), 1),))
    assert normalized(3, 3, history, FREE, Bounds(1, 9)).history.grown == history.grown
