"""The queue before a pool: tiers, shares, ageing, promotion, deadlines."""

import pytest

from autoglm_gateway.queueing import Order, Policy, TaskType, Tier, TierPolicy, WaitingLine, Wish
from autoglm_gateway.queueing.orders import FairLane
from autoglm_gateway.queueing.ticket import Ticket

LATER = 1e9
SHORTEST = Policy(order=Order.SHORTEST_REMAINING, ageing=10.0)
FAIR = Policy(order=Order.FAIR)


def wish(arrived: float = 0.0, *, deadline: float = LATER, tier: Tier = Tier.NORMAL, **of: object) -> Wish:
    return Wish(arrived, deadline, tier, **of)  # type: ignore[arg-type]


def line(policy: Policy | None = None, **wishes: Wish) -> WaitingLine[str]:
    made: WaitingLine[str] = WaitingLine(policy)
    for name, one in wishes.items():
        made.join(name, one)
    return made


def served(queue: WaitingLine[str], now: float = 0.0, most: int = 1000) -> list[str]:
    taken: list[str] = []
    while len(taken) < most and (item := queue.next(now)) is not None:
        taken.append(item)
    return taken


def test_tiers_come_in_their_order_and_within_one_who_came_first() -> None:
    queue = line(
        b1=wish(tier=Tier.BATCH), n1=wish(), i1=wish(tier=Tier.INTERACTIVE), u1=wish(tier=Tier.URGENT), n2=wish()
    )
    assert served(queue) == ["u1", "i1", "n1", "n2", "b1"]


def test_batch_gets_its_share_of_turns_while_others_wait() -> None:
    queue: WaitingLine[str] = WaitingLine(Policy(batch_percent=5))
    for number in range(200):
        queue.join(f"n{number}", wish())
        queue.join(f"b{number}", wish(tier=Tier.BATCH))
    turns = served(queue, most=100)
    places = [place for place, item in enumerate(turns) if item.startswith("b")]
    assert places == [19, 39, 59, 79, 99]


def test_without_a_reserve_batch_waits_for_the_rest() -> None:
    queue = line(Policy(batch_percent=0), b=wish(tier=Tier.BATCH), n=wish())
    assert served(queue) == ["n", "b"]


TASKS = (
    TaskType("dialogue", 5, Tier.INTERACTIVE),
    TaskType("report", 1, Tier.BATCH),
    TaskType("search", 2, Tier.NORMAL),
)
WEIGHTED = Policy(tiers=TierPolicy.WEIGHTED_ROUND_ROBIN, task_types=TASKS)


def test_task_types_share_by_their_coefficients_in_every_window_of_one_cycle() -> None:
    queue: WaitingLine[str] = WaitingLine(WEIGHTED)
    for task in TASKS:
        for _ in range(60):
            queue.join(task.name, wish(task=task.name))
    turns = served(queue, most=80)
    for start in range(80 - 8):
        window = turns[start : start + 8]
        assert [window.count(task.name) for task in TASKS] == [5, 1, 2]


def test_a_task_type_that_does_not_wait_gives_its_share_to_the_rest() -> None:
    queue: WaitingLine[str] = WaitingLine(WEIGHTED)
    for _ in range(30):
        queue.join("report", wish(task="report"))
        queue.join("search", wish(task="search"))
    turns = served(queue, most=30)
    assert (turns.count("report"), turns.count("search")) == (10, 20)


def test_an_unknown_task_counts_as_the_first_type() -> None:
    queue = line(WEIGHTED, a=wish(task="nobody knows"))
    assert served(queue) == ["a"]


def test_the_shortest_goes_first() -> None:
    queue = line(SHORTEST, long=wish(tokens=500), short=wish(tokens=10), middle=wish(tokens=100))
    assert served(queue) == ["short", "middle", "long"]


def test_a_long_query_is_overtaken_only_by_what_comes_within_its_length_over_the_rate() -> None:
    queue = line(SHORTEST, long=wish(0.0, tokens=100))
    queue.join("in time", wish(9.9, tokens=0))
    queue.join("too late", wish(10.1, tokens=0))
    assert served(queue, now=11) == ["in time", "long", "too late"]


@pytest.mark.parametrize("policy", [SHORTEST, Policy()])
def test_a_jump_overtakes_what_came_earlier_by_less(policy: Policy) -> None:
    queue = line(policy, a=wish(0.0, tokens=10), b=wish(5.0, tokens=10, jump=5.1), c=wish(5.0, tokens=10, jump=4.9))
    assert served(queue) == ["b", "a", "c"]


def test_a_jump_keeps_its_place_when_predictions_are_not_trusted_any_more() -> None:
    queue = line(SHORTEST, a=wish(0.0, tokens=10), b=wish(5.0, tokens=10, jump=60))
    queue.serve_by(Policy(order=Order.ARRIVAL))
    assert served(queue) == ["b", "a"]


def test_by_arrival_the_length_says_nothing() -> None:
    queue = line(long=wish(0.0, tokens=900), short=wish(0.1, tokens=1))
    assert served(queue) == ["long", "short"]


def test_tenants_take_turns_by_the_work_they_were_given() -> None:
    queue: WaitingLine[str] = WaitingLine(FAIR)
    for number in range(30):
        queue.join(f"big{number}", wish(tenant="big", tokens=300))
        queue.join(f"small{number}", wish(tenant="small", tokens=100))
    turns = served(queue, most=40)
    work = {
        name: sum(300 if name == "big" else 100 for item in turns if item.startswith(name)) for name in ("big", "small")
    }
    assert abs(work["big"] - work["small"]) <= 300


def test_a_tenant_that_was_away_has_saved_nothing() -> None:
    queue: WaitingLine[str] = WaitingLine(FAIR)
    queue.join("x", wish(tenant="away", tokens=1))
    served(queue)
    for number in range(50):
        queue.join(f"busy{number}", wish(tenant="busy", tokens=100))
    served(queue, most=30)
    for number in range(10):
        queue.join(f"away{number}", wish(tenant="away", tokens=100))
    turns = served(queue, most=10)
    assert 4 <= sum(item.startswith("away") for item in turns) <= 6


def test_a_newcomer_starts_beside_who_stopped_waiting_last() -> None:
    queue: WaitingLine[str] = WaitingLine(FAIR)
    queue.join("old", wish(tenant="old", tokens=10_000))
    assert served(queue) == ["old"]
    for number in range(4):
        queue.join(f"new{number}", wish(tenant="new", tokens=100))
        queue.join(f"old{number}", wish(tenant="old", tokens=100))
    turns = served(queue, most=4)
    assert sum(item.startswith("old") for item in turns) == 2, "nobody is owed what others had before"


def test_one_that_was_sent_back_is_charged_once() -> None:
    queue = line(FAIR, a1=wish(tenant="a", tokens=100))
    assert served(queue) == ["a1"]
    queue.join("a1", wish(tenant="a", tokens=100), front=True)
    assert served(queue) == ["a1"]
    place = queue._lanes[Tier.NORMAL]
    assert isinstance(place, FairLane)
    assert place._work == {"a": 100}


@pytest.mark.parametrize("policy", [Policy(), SHORTEST])
def test_other_orders_count_no_work(policy: Policy) -> None:
    queue = line(policy, a=wish(tenant="a", tokens=1))
    queue.charge(wish(tenant="a"), 1000)
    queue.join("b", wish(1.0, tenant="b", tokens=1))
    assert (served(queue), len(queue)) == (["a", "b"], 0)


def test_a_flood_of_corrections_takes_no_memory() -> None:
    queue = line(FAIR, a=wish(tenant="a", tokens=10), b=wish(tenant="b", tokens=10))
    for number in range(2_000):
        queue.charge(wish(tenant="b"), 5 if number % 2 else -5)
    place = queue._lanes[Tier.NORMAL]
    assert isinstance(place, FairLane)
    assert len(place._heap) <= 65
    assert served(queue) == ["a", "b"]


def test_tenants_without_number_are_forgotten_and_those_who_wait_are_not() -> None:
    place: FairLane[str] = FairLane()
    place.push(Ticket("x", wish(tenant="waits"), 1, Tier.NORMAL))
    for number in range(12_000):
        place.charge(f"t{number}", 1.0)
    assert len(place._work) <= 10_000
    assert "waits" in place._work
    assert place.peek() is not None


def test_a_correction_after_the_fact_costs_the_tenant_its_turn() -> None:
    queue = line(FAIR, a1=wish(tenant="a", tokens=10), b1=wish(tenant="b", tokens=10))
    assert served(queue, most=2) == ["a1", "b1"]
    queue.join("a2", wish(tenant="a", tokens=10))
    queue.join("b2", wish(tenant="b", tokens=10))
    queue.charge(wish(tenant="a"), 500)
    assert served(queue) == ["b2", "a2"]


@pytest.mark.parametrize("policy", [Policy(), SHORTEST, FAIR])
def test_one_that_was_sent_back_goes_first(policy: Policy) -> None:
    queue = line(policy, a=wish(tokens=1, tenant="a"))
    queue.join("back", wish(tokens=1000, tenant="b"), front=True)
    assert served(queue) == ["back", "a"]


@pytest.mark.parametrize("policy", [Policy(), SHORTEST, FAIR, WEIGHTED])
def test_places_can_be_given_up_once(policy: Policy) -> None:
    queue: WaitingLine[str] = WaitingLine(policy)
    tickets = [queue.join(name, wish(tokens=place)) for place, name in enumerate("abc")]
    queue.leave(tickets[1])
    queue.leave(tickets[1])
    assert (len(queue), served(queue), len(queue)) == (2, ["a", "c"], 0)


@pytest.mark.parametrize("policy", [Policy(), SHORTEST, FAIR])
def test_nobody_is_served_after_the_deadline(policy: Policy) -> None:
    queue = line(policy, late=wish(deadline=5), fine=wish(deadline=10))
    assert (served(queue, now=5), queue.expired(5), len(queue)) == (["fine"], ["late"], 0)
    assert queue.expired(1000) == []


def test_who_waits_too_long_in_a_tier_is_promoted() -> None:
    waits = {Tier.URGENT: 5.0, Tier.INTERACTIVE: 30.0, Tier.NORMAL: 60.0, Tier.BATCH: 600.0}
    queue = line(Policy(max_wait=waits, batch_percent=0), n=wish(0.0), i=wish(20.0, tier=Tier.INTERACTIVE))
    assert (queue.expired(59.9), queue.waiting()[Tier.NORMAL], queue.promotions) == ([], 1, 1)
    queue.expired(60.0)
    assert (queue.waiting()[Tier.NORMAL], queue.promotions) == (0, 2)


def test_promotion_climbs_tier_by_tier_until_the_deadline() -> None:
    waits = dict.fromkeys(Tier, 10.0)
    queue = line(Policy(max_wait=waits), b=wish(0.0, tier=Tier.BATCH, deadline=100))
    seen = []
    for now in (9.0, 10.0, 20.0, 30.0, 40.0, 99.0):
        assert queue.expired(now) == []
        seen.append(next(tier for tier, count in queue.waiting().items() if count))
    assert seen == [Tier.BATCH, Tier.NORMAL, Tier.INTERACTIVE, *[Tier.URGENT] * 3]
    assert queue.expired(100.0) == ["b"]


@pytest.mark.parametrize("order", list(Order))
def test_who_was_promoted_to_urgent_takes_turns_with_urgent_but_not_its_reserve(order: Order) -> None:
    queue: WaitingLine[str] = WaitingLine(Policy(order=order, max_wait=dict.fromkeys(Tier, 10.0)))
    queue.join("promoted", Wish(0.0, 1e9, Tier.INTERACTIVE))
    queue.expired(11.0)
    assert queue.next(12.0, urgent_only=True) is None
    queue.join("urgent", Wish(12.0, 1e9, Tier.URGENT))
    queue.join("second", Wish(13.0, 1e9, Tier.URGENT))
    assert queue.waiting()[Tier.URGENT] == 3
    assert queue.next(14.0, urgent_only=True) == "urgent"
    assert [queue.next(14.0), queue.next(14.0)] == ["promoted", "second"]


def test_who_was_promoted_is_not_forgotten_when_task_types_share_the_turns() -> None:
    tasks = (TaskType("a", 1, Tier.NORMAL),)
    queue: WaitingLine[str] = WaitingLine(Policy(max_wait=dict.fromkeys(Tier, 10.0)))
    queue.join("promoted", Wish(0.0, 1e9, Tier.INTERACTIVE))
    queue.expired(11.0)
    queue.serve_by(Policy(tiers=TierPolicy.WEIGHTED_ROUND_ROBIN, task_types=tasks))
    assert queue.next(12.0) == "promoted"


def test_a_new_policy_keeps_everybody() -> None:
    queue = line(Policy(), long=wish(tokens=100, task="report"), short=wish(tokens=1, task="dialogue"))
    queue.serve_by(SHORTEST)
    assert (len(queue), served(queue, most=1)) == (2, ["short"])
    queue.serve_by(WEIGHTED)
    assert (served(queue), len(queue)) == (["long"], 0)


def test_clear_returns_everything_in_order() -> None:
    queue = line(SHORTEST, a=wish(tokens=9), b=wish(tokens=1))
    assert (queue.clear(), len(queue), served(queue)) == (["a", "b"], 0, [])


@pytest.mark.parametrize("policy", [Policy(), SHORTEST, FAIR])
def test_a_crowd_that_leaves_costs_the_same_per_head(policy: Policy) -> None:
    queue: WaitingLine[int] = WaitingLine(policy)
    tickets = [queue.join(number, wish(tokens=number)) for number in range(5_000)]
    for ticket in reversed(tickets[1:]):
        queue.leave(ticket)
    assert (len(queue), queue.next(0)) == (1, 0)
    assert len(queue._times) <= 200
