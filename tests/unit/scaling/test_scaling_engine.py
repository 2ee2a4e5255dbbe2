"""`decide` on tokens: demand, panic, room, schedules, sleep, and what holds a pool."""

from dataclasses import replace
from typing import Any

import pytest

from autoglm_api.spec import Scaling, Signal, SignalType
from autoglm_api.status import Reason
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.model import NOT_READ, Load, PoolDecision, PoolSnapshot
from autoglm_operator.scaling.readings import Fresh
from support.scaling_times import at, behavior, percent, pods

PROMPT = behavior(
    up={"policies": [pods(2, 60)]}, down={"stabilizationWindowSeconds": 0, "policies": [percent(100, 15)]}
)
DEMAND = Signal(type=SignalType.TOKEN_DEMAND, target="1000")


def rules(low: int = 1, high: int = 20, **fields: Any) -> Scaling:
    fields = {"signals": [DEMAND], "behavior": PROMPT, "startup_seconds": 60, **fields}
    return Scaling(min_replicas=low, max_replicas=high, **fields)


def tokens(offered: float, *, now: float | None = None, queued: float = 0, served: float = 0) -> Load:
    short = offered if now is None else now
    waits, long, burst, done = (Fresh(round(figure * 1000)) for figure in (queued, offered, short, served))
    return Load(Fresh(0), Fresh(round(offered * 2)), waits, long, burst, done)


def pool(current: int, load: Load, **fields: Any) -> PoolSnapshot:
    fields = {"ready": current, "rolling_out": False, "concurrency": 8, **fields}
    return PoolSnapshot(current, load=load, **fields)


class Replay:
    """Decides every five seconds; nothing carries a size out unless the test does."""

    def __init__(self, scaling: Scaling | None = None) -> None:
        self.scaling = scaling or rules()
        self.state = PoolState()
        self.second = 0

    def tick(self, snapshot: PoolSnapshot) -> PoolDecision:
        decision, self.state = decide(snapshot, self.scaling, self.state, at(self.second))
        self.second += 5
        return decision

    def ticks(self, snapshot: PoolSnapshot, times: int) -> PoolDecision:
        return [self.tick(snapshot) for _ in range(times)][-1]


@pytest.mark.parametrize(
    ("current", "offered", "size"),
    [
        (4, 3400, 5),  # with 15 % until the past is known: 3910 / 850
        (4, 2900, 4),
        (4, 1200, 2),  # with that margin, and at most 80 % in use without any
        (4, 0, 1),
        (20, 99_000, 20),
    ],
)
def test_token_demand_sizes_the_pool(current: int, offered: float, size: int) -> None:
    decision = Replay().tick(pool(current, tokens(offered)))
    assert decision.replicas == size
    assert decision.winner == "TokenDemand"


def test_the_row_of_a_signal_says_what_it_saw() -> None:
    decision = Replay().tick(pool(4, tokens(3400)))
    row = decision.proposals[0]
    assert (row.signal, row.value, row.target, row.proposal, row.freshness) == (
        "TokenDemand",
        "3910",
        "1000",
        5,
        "Fresh",
    )
    assert "3400 tokens/s arrive, 510 may come on top" in decision.message


def test_replicas_that_start_are_supply_so_a_growing_pool_asks_once() -> None:
    replay = Replay()
    sizes = {replay.tick(pool(5, tokens(3400), ready=4)).replicas for _ in range(20)}
    assert sizes == {5}


def test_without_a_capacity_the_slots_in_use_decide_and_the_queue_counts() -> None:
    scaling = rules(signals=[Signal(type=SignalType.TOKEN_DEMAND), Signal(type=SignalType.CONCURRENCY)])
    busy = replace(tokens(9000), in_flight=Fresh(16_000))
    assert Replay(scaling).tick(pool(2, busy)).replicas == 3
    waiting = replace(busy, queued=Fresh(30_000))
    decision = Replay(scaling).tick(pool(2, waiting))
    assert (decision.replicas, decision.limited) == (4, Reason.SCALE_UP_LIMIT)
    assert "no replica's capacity is known yet" in decision.message


def test_a_saturated_pool_teaches_its_capacity() -> None:
    scaling = rules(
        signals=[Signal(type=SignalType.TOKEN_DEMAND), Signal(type=SignalType.CONCURRENCY)], panic="Disabled"
    )
    replay = Replay(scaling)
    decision = replay.ticks(pool(2, tokens(3000, queued=90_000, served=1000)), 30)
    assert decision.proposals[0].target == "500"
    assert decision.winner == "TokenDemand"


BURST = tokens(1500, now=9000, queued=40_000, served=1900)


def test_a_burst_passes_the_rates() -> None:
    replay = Replay()
    assert replay.tick(pool(2, BURST)).replicas == 3  # one look is not enough
    decision = replay.tick(pool(2, BURST))
    assert (decision.reason, decision.replicas > 10) == (Reason.PANIC, True)
    assert [row.signal for row in decision.proposals] == ["TokenDemand", "Panic"]


def test_a_burst_never_passes_the_bounds() -> None:
    decision = Replay(rules(high=6)).ticks(pool(2, BURST), 2)
    assert (decision.replicas, decision.limited) == (6, Reason.TOO_MANY_REPLICAS)


def test_a_pool_in_panic_does_not_shrink_until_the_burst_is_over_for_a_startup_time() -> None:
    replay = Replay()
    replay.ticks(pool(2, BURST), 2)
    calm = [replay.tick(pool(15, tokens(1500))) for _ in range(26)]
    reasons = [decision.reason for decision in calm]
    assert set(reasons[:11]) == {Reason.PANIC}
    assert all(decision.replicas >= 15 for decision in calm[:11])
    assert Reason.PANIC not in reasons[13:]


def test_panic_can_be_switched_off() -> None:
    assert Replay(rules(panic="Disabled")).ticks(pool(2, BURST), 3).replicas == 3


def test_replicas_that_find_no_room_stop_the_asking() -> None:
    short = pool(5, tokens(9000), ready=3, unschedulable=2, unschedulable_seconds=59)
    assert Replay().tick(short).replicas == 7
    decision = Replay().tick(replace(short, unschedulable_seconds=60))
    assert (decision.replicas, decision.limited) == (5, Reason.INSUFFICIENT_GPU)


@pytest.mark.parametrize(
    ("kept_by", "words"), [(Reason.QUOTA, "a quota refuses"), (Reason.API_REFUSED, "the API server refuses")]
)
def test_what_refuses_replicas_is_named(kept_by: Reason, words: str) -> None:
    short = pool(5, tokens(9000), ready=3, unschedulable=2, unschedulable_seconds=60, no_room=kept_by)
    decision = Replay().tick(short)
    assert (decision.replicas, decision.reason, decision.limited) == (5, kept_by, kept_by)
    assert words in decision.message


def test_replicas_that_find_no_room_do_not_keep_the_pool_big() -> None:
    short = pool(5, tokens(900), ready=3, unschedulable=2, unschedulable_seconds=59)
    assert Replay().tick(short).reason is Reason.STARTING
    assert Replay().tick(replace(short, unschedulable_seconds=60)).replicas == 2


def test_a_capacity_in_doubt_lets_no_pool_shrink() -> None:
    replay = Replay()
    replay.ticks(pool(4, tokens(4000, queued=50_000, served=2000)), 14)
    decision = replay.tick(pool(4, tokens(100)))
    assert (decision.replicas, decision.reason) == (4, Reason.CAPACITY_UNCERTAIN)


def test_what_is_left_must_be_able_to_carry_the_load() -> None:
    scaling = rules(signals=[DEMAND, Signal(type=SignalType.CONCURRENCY)])
    busy = replace(tokens(100), in_flight=Fresh(20_000))
    decision = Replay(scaling).tick(pool(4, busy))
    assert decision.replicas == 3  # 20 in flight, 6.8 slots each


def test_consolidation_is_unsafe_when_the_waiting_part_of_a_latency_would_break_its_target() -> None:
    latency = Signal(type=SignalType.FIRST_TOKEN_LATENCY, target_milliseconds=200)
    replay = Replay(rules(signals=[DEMAND, latency]))
    for milliseconds in (100, 185):
        load = replace(tokens(1400), signals={latency.key: Fresh(milliseconds * 1000)})
        decision = replay.tick(pool(4, load))
    assert (decision.replicas, decision.reason) == (4, Reason.CONSOLIDATION)


def test_a_pool_that_has_just_grown_waits_two_windows_before_it_shrinks() -> None:
    slow = behavior(down={"stabilizationWindowSeconds": 60, "policies": [percent(100, 15)]})
    replay = Replay(rules(behavior=slow))
    replay.tick(pool(2, tokens(4000)))
    for _ in range(23):
        decision = replay.tick(pool(5, tokens(400)))
    assert (decision.replicas, decision.reason) == (5, Reason.SCALE_DOWN_STABILIZED)
    assert replay.ticks(pool(5, tokens(400)), 2).replicas == 1


def test_a_small_pool_shrinks_only_where_it_would_not_grow_again_at_once() -> None:
    at_once = behavior(down={"stabilizationWindowSeconds": 0, "policies": [percent(100, 15)]})

    def after(rate: float, size: int) -> int:
        replay = Replay(rules(behavior=at_once))
        replay.ticks(pool(size, tokens(rate)), 60)
        return replay.tick(pool(size, tokens(rate))).replicas

    assert [after(rate, 3) for rate in (1500, 1550, 1590)] == [2, 2, 3]  # two do 1700 as planned, less 8 % of room
    assert after(12_700, 18) == 16  # a large one grows by no less than 8 %, so it needs no room beside


SALE = {"name": "sale", "start": "00:00", "end": "01:00", "min_replicas": 6}


def test_a_schedule_gives_the_bounds() -> None:
    decision = Replay(rules(schedules=[SALE])).tick(pool(2, tokens(100)))
    assert (decision.replicas, decision.reason, decision.winner) == (6, Reason.SCHEDULED, "Schedule")


def test_an_idle_pool_that_may_sleep_does_and_wakes() -> None:
    replay = Replay(rules(low=0, zero={"idle_seconds": 30, "activation_replicas": 2}))
    decision = replay.ticks(pool(1, tokens(0)), 8)
    assert (decision.replicas, decision.reason) == (0, Reason.SCALED_TO_ZERO)
    assert replay.tick(pool(0, tokens(0))).replicas == 0
    held = replace(tokens(0), queued=Fresh(1000))
    decision = replay.tick(pool(0, held))
    assert (decision.replicas, decision.reason) == (2, Reason.WOKEN)


def test_lost_metrics_fall_back_and_short_gaps_use_the_last_figures() -> None:
    replay = Replay(rules(fallback={"after_seconds": 60, "behavior": "Static", "replicas": 7}))
    replay.tick(pool(4, tokens(2900)))
    blind = pool(4, Load(NOT_READ, NOT_READ))
    decision = replay.tick(blind)
    assert (decision.replicas, decision.reason) == (4, Reason.METRICS_MISSING)
    assert decision.proposals[0].freshness == "Recent: Missing"
    for _ in range(20):
        decision = replay.tick(blind)
    assert (decision.replicas, decision.reason) == (6, Reason.METRICS_FALLBACK)  # two a minute


def test_the_state_stays_bounded() -> None:
    replay = Replay()
    for second in range(600):
        replay.tick(pool(4, tokens(3000 + second % 7 * 100, queued=second % 3 * 9000), became_ready=(30.0,)))
    assert len(replay.state.demand.levels) <= 161
    assert len(replay.state.startups) <= 32
    assert len(replay.state.history.recommendations) <= 62


def test_a_latency_that_growing_does_not_lower_is_told_as_the_limit_and_lets_the_pool_shrink() -> None:
    slow = Signal(type=SignalType.FIRST_TOKEN_LATENCY, target_milliseconds=10)
    replay, size, sizes = Replay(rules(signals=[DEMAND, slow])), 4, list[int]()
    load = replace(tokens(3000), signals={slow.key: Fresh(200_000)})
    for _ in range(160):
        decision = replay.tick(pool(size, load))
        sizes.append(size := decision.replicas)
    assert max(sizes) < 10  # of 20
    assert sizes[-1] == 4
    assert (decision.reason, decision.limited) == (Reason.GROWTH_FUTILE, Reason.GROWTH_FUTILE)
    assert "more replicas did not lower" in decision.message
