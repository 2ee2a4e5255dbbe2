"""The policy of a queue, the reserve for Urgent and the budget of retries."""

import pytest

from autoglm_api.keys import Tier
from autoglm_api.queue import MaxWaitSeconds, Order, Queue, TaskType, TierPolicy
from autoglm_gateway.queueing import TaskType as Task
from autoglm_gateway.queueing import WaitingLine, Wish
from autoglm_gateway.retries import RetryBudget
from autoglm_gateway.serving import Reserve, policy_of


@pytest.mark.parametrize(
    ("order", "trusted", "served"),
    [
        (Order.SHORTEST_REMAINING, True, Order.SHORTEST_REMAINING),
        (Order.SHORTEST_REMAINING, False, Order.ARRIVAL),
        (Order.FAIR, False, Order.FAIR),
    ],
)
def test_an_order_by_worthless_predictions_falls_back_to_arrival(order: Order, served: Order, *, trusted: bool) -> None:
    assert policy_of(Queue(order=order), trusted=trusted).order is served


def test_the_policy_is_the_resource_s() -> None:
    task = TaskType(name="report", coefficient=3, tier=Tier.BATCH)
    queue = Queue(tiers=TierPolicy.WEIGHTED_ROUND_ROBIN, task_types=[task], batch_reserve_percent=7)
    policy = policy_of(queue)
    assert (policy.task_types, policy.batch_percent) == ((Task("report", 3, Tier.BATCH),), 7)
    assert policy.max_wait[Tier.BATCH] == 3600


@pytest.mark.parametrize(("tier", "seconds"), [(Tier.URGENT, 5), (Tier.NORMAL, 15), (Tier.BATCH, 35)])
def test_the_longest_wait_counts_promotions(tier: Tier, seconds: int) -> None:
    waits = MaxWaitSeconds(urgent=5, interactive=0, normal=10, batch=20)
    assert Queue(max_wait_seconds=waits).longest_wait(tier) == seconds
    weighted = Queue(max_wait_seconds=waits, tiers=TierPolicy.WEIGHTED_ROUND_ROBIN, task_types=[TaskType(name="a")])
    assert weighted.longest_wait(tier) == waits.of(tier), "task types are not promoted"


@pytest.mark.parametrize(
    ("percent", "slots", "after_a_second", "after_a_minute", "after_ten"),
    [
        (10, 40, 4, 4, 0),
        (10, 19, 1, 1, 0),
        (10, 9, 1, 1, 0),
        (10, 4, 1, 1, 0),
        (10, 3, 1, 0, 0),
        (10, 2, 1, 0, 0),
        (50, 3, 1, 1, 0),
        (50, 2, 1, 1, 0),
        (50, 1, 0, 0, 0),
        (10, 1, 0, 0, 0),
        (10, 0, 0, 0, 0),
        (0, 40, 0, 0, 0),
        (0, 2, 0, 0, 0),
    ],
)
def test_a_reserve_is_at_least_a_slot_for_a_shorter_time_where_that_is_much_of_the_pool(
    percent: int, slots: int, after_a_second: int, after_a_minute: int, after_ten: int
) -> None:
    reserve = Reserve(percent)
    assert reserve.slots(slots, now=0) == 0, "nobody has asked for Urgent"
    reserve.saw_urgent(now=100)
    kept = [reserve.slots(slots, now) for now in (101, 160, 700)]
    assert kept == [after_a_second, after_a_minute, after_ten]


def test_the_reserve_serves_urgent_and_nobody_else() -> None:
    line: WaitingLine[str] = WaitingLine()
    line.join("normal", Wish(0, 100))
    assert line.next(1, urgent_only=True) is None
    line.join("urgent", Wish(0, 100, Tier.URGENT))
    assert (line.next(1, urgent_only=True), len(line), line.next(1)) == ("urgent", 1, "normal")


@pytest.mark.parametrize(("per_second", "allowed"), [(0, range(29, 40)), (100, range(180, 260))])
def test_a_fifth_of_the_queries_may_be_tried_again_but_three_a_second_always(per_second: int, allowed: range) -> None:
    budget = RetryBudget()
    for number in range(30 * per_second):
        budget.saw_query(number / per_second)
    now = 30.0
    assert sum(budget.take(now) for _ in range(1000)) in allowed
    assert not budget.take(now)
    assert budget.take(now + 25)
