import pytest

from autoglm_api.status import Reason
from autoglm_operator.scaling.decide import STARTING_HOLD, PoolState, decide
from autoglm_operator.scaling.model import PoolDecision, PoolSnapshot
from autoglm_operator.scaling.readings import Fresh
from support.scaling_pools import BLIND, fresh_load, half_load, scaling, snapshot
from support.scaling_times import at, behavior, percent, pods

QUICK = behavior(
    up={"policies": [pods(100, 1)]}, down={"stabilizationWindowSeconds": 30, "policies": [percent(100, 15)]}
)
AT_ONCE = behavior(
    up={"policies": [pods(100, 1)]}, down={"stabilizationWindowSeconds": 0, "policies": [percent(100, 15)]}
)
HOLD_SECONDS = STARTING_HOLD.total_seconds()


def decide_once(pool: PoolSnapshot, *, low: int = 1, high: int = 10) -> PoolDecision:
    return decide(pool, scaling(low, high, AT_ONCE), PoolState(), at(0))[0]


CASES = [
    # pool -> size, reason, winner, metrics available, limited
    (snapshot(3, fresh_load(in_flight=31)), 6, Reason.DESIRED_WITHIN_RANGE, "Concurrency", True, None),
    (snapshot(3, fresh_load(queued=20)), 5, Reason.DESIRED_WITHIN_RANGE, "QueuedQueriesPerReplica", True, None),
    (snapshot(3, fresh_load(in_flight=18)), 3, Reason.DESIRED_WITHIN_RANGE, "Concurrency", True, None),
    (snapshot(3, fresh_load(in_flight=8)), 2, Reason.DESIRED_WITHIN_RANGE, "Concurrency", True, None),
    (
        snapshot(3, fresh_load(in_flight=99)),
        10,
        Reason.TOO_MANY_REPLICAS,
        "Concurrency",
        True,
        Reason.TOO_MANY_REPLICAS,
    ),
    (snapshot(3, fresh_load()), 1, Reason.TOO_FEW_REPLICAS, "QueuedQueriesPerReplica", True, Reason.TOO_FEW_REPLICAS),
    (snapshot(12, fresh_load(in_flight=99)), 10, Reason.TOO_MANY_REPLICAS, "Concurrency", True, None),
    (snapshot(12, BLIND), 10, Reason.TOO_MANY_REPLICAS, None, False, None),
    (snapshot(0, BLIND), 1, Reason.TOO_FEW_REPLICAS, None, False, None),
    (snapshot(3, BLIND), 3, Reason.METRICS_MISSING, None, False, None),
    (snapshot(3, half_load(Fresh(1000))), 3, Reason.METRICS_MISSING, "Concurrency", False, None),
    (snapshot(3, half_load(Fresh(31000))), 6, Reason.DESIRED_WITHIN_RANGE, "Concurrency", False, None),
    (snapshot(3, fresh_load(), rolling_out=True), 3, Reason.ROLLING_OUT, "QueuedQueriesPerReplica", True, None),
    (
        snapshot(3, fresh_load(in_flight=31), rolling_out=True),
        6,
        Reason.DESIRED_WITHIN_RANGE,
        "Concurrency",
        True,
        None,
    ),
    (snapshot(3, fresh_load(), ready=2), 3, Reason.STARTING, "QueuedQueriesPerReplica", True, None),
    (snapshot(3, fresh_load(in_flight=31), ready=0), 6, Reason.DESIRED_WITHIN_RANGE, "Concurrency", True, None),
]


@pytest.mark.parametrize(("pool", "size", "reason", "winner", "available", "limited"), CASES)
def test_decisions(
    pool: PoolSnapshot, size: int, reason: Reason, winner: str | None, limited: Reason | None, *, available: bool
) -> None:
    decision = decide_once(pool)
    assert (decision.replicas, decision.reason, decision.winner) == (size, reason, winner)
    assert (decision.metrics_available, decision.limited) == (available, limited)


MESSAGES = [
    (snapshot(3, fresh_load(in_flight=31)), "Concurrency 31 / 6 per replica asks for 6; 3 -> 6"),
    (snapshot(3, fresh_load(in_flight=18)), "Concurrency 18 / 6 per replica asks for 3; stays at 3"),
    (
        snapshot(3, BLIND),
        (
            "stays at 3 (held, because missing data is not zero load); "
            "QueuedQueriesPerReplica: Missing (no series); Concurrency: Missing (no series)"
        ),
    ),
    (
        snapshot(3, half_load(Fresh(31500))),
        (
            "Concurrency at least 31.5 / 6 per replica asks for 6; 3 -> 6; "
            "QueuedQueriesPerReplica: Missing (no series); Concurrency: Missing (no series)"
        ),
    ),
]


@pytest.mark.parametrize(("pool", "message"), MESSAGES)
def test_the_message_carries_the_figures(pool: PoolSnapshot, message: str) -> None:
    assert decide_once(pool).message == message


class Replay:
    """Decides tick by tick; the cluster carries out every size at once unless told otherwise."""

    def __init__(self, current: int, rules: object = QUICK, high: int = 20) -> None:
        self.current = current
        self.state = PoolState()
        self.scaling = scaling(1, high, rules)  # type: ignore[arg-type]

    def tick(self, seconds: float, pool: PoolSnapshot, *, carried_out: bool = True) -> PoolDecision:
        decision, self.state = decide(pool, self.scaling, self.state, at(seconds))
        if carried_out:
            self.current = decision.replicas
        return decision


def test_a_new_state_keeps_the_size_for_a_full_window() -> None:
    replay = Replay(5)
    sizes = [
        replay.tick(second, snapshot(replay.current, fresh_load(in_flight=6))).replicas for second in range(0, 40, 5)
    ]
    assert sizes == [5, 5, 5, 5, 5, 5, 1, 1]


def test_after_an_outage_a_full_window_passes_before_the_pool_shrinks() -> None:
    replay = Replay(5)
    sizes = {}
    for second in range(0, 200, 5):
        load = BLIND if 60 <= second < 100 else fresh_load(in_flight=30 if second < 60 else 6)
        sizes[second] = replay.tick(second, snapshot(replay.current, load)).replicas
    assert [second for second, size in sizes.items() if size == 5][-1] == 120  # 95 was the last blind tick
    assert sizes[125] == 1


def test_a_refused_write_leaves_no_event_so_the_rate_is_not_spent() -> None:
    replay = Replay(3, behavior(up={"policies": [pods(2, 60)]}))
    for second in (0, 5, 10):
        decision = replay.tick(second, snapshot(3, fresh_load(in_flight=60)), carried_out=False)
        assert (decision.replicas, decision.limited) == (5, Reason.SCALE_UP_LIMIT)
    assert replay.state.history.grown == ()


def test_a_write_that_shows_late_is_counted_when_it_shows() -> None:
    replay = Replay(3, behavior(up={"policies": [pods(2, 60)]}))
    replay.tick(0, snapshot(3, fresh_load(in_flight=60)))
    replay.tick(5, snapshot(3, fresh_load(in_flight=18)))
    held = replay.tick(10, snapshot(5, fresh_load(in_flight=60)))
    assert (held.replicas, held.reason) == (5, Reason.SCALE_UP_LIMIT)


def test_a_hand_made_change_is_no_event() -> None:
    replay = Replay(3, behavior(up={"policies": [pods(2, 60)]}))
    replay.tick(0, snapshot(3, fresh_load(in_flight=18)))
    assert replay.tick(5, snapshot(5, fresh_load(in_flight=60))).replicas == 7


def test_starting_replicas_hold_the_size_until_they_count_as_stuck() -> None:
    replay = Replay(5, AT_ONCE)
    idle = snapshot(5, fresh_load(), ready=3)
    assert replay.tick(0, idle).reason is Reason.STARTING
    assert replay.tick(HOLD_SECONDS - 1, idle).reason is Reason.STARTING
    assert replay.tick(HOLD_SECONDS, idle).replicas == 1


def test_progress_of_starting_replicas_prolongs_the_hold_but_flapping_does_not() -> None:
    replay = Replay(5, AT_ONCE)
    replay.tick(0, snapshot(5, fresh_load(), ready=2))
    replay.tick(100, snapshot(5, fresh_load(), ready=3))
    replay.tick(200, snapshot(5, fresh_load(), ready=2))
    held = replay.tick(HOLD_SECONDS + 50, snapshot(5, fresh_load(), ready=3))
    assert held.reason is Reason.STARTING
    assert replay.tick(HOLD_SECONDS + 100, snapshot(5, fresh_load(), ready=2)).replicas == 1


def test_a_rollout_does_not_restart_the_stabilisation_window() -> None:
    replay = Replay(5)
    for second in range(0, 60, 5):
        assert replay.tick(second, snapshot(5, fresh_load(), rolling_out=True)).replicas == 5
    assert replay.tick(60, snapshot(5, fresh_load())).replicas == 1


def test_the_state_stays_bounded() -> None:
    replay = Replay(5)
    for second in range(0, 5_000, 5):
        replay.tick(second, snapshot(replay.current, fresh_load(in_flight=second % 120)))
    history = replay.state.history
    assert len(history.recommendations) <= 30 / 5 + 2
    assert len(history.grown) + len(history.shrunk) <= 20
