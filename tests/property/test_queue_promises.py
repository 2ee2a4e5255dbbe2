"""What the queue promises whatever comes: nobody is lost, nobody is served late, waits are bounded."""

from collections import Counter
from itertools import combinations
from math import sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_gateway.queueing import Order, Policy, TaskType, Tier, TierPolicy, WaitingLine, Wish
from autoglm_gateway.queueing.predict import Asked, Predictor, kendall_tau
from autoglm_gateway.queueing.ticket import Ticket
from autoglm_gateway.queueing.turns import StrictTurns, WeightedTurns

TASKS = (TaskType("a", 3, Tier.NORMAL), TaskType("b", 1, Tier.BATCH))
POLICIES = st.builds(
    Policy,
    tiers=st.sampled_from(TierPolicy),
    task_types=st.sampled_from([(), TASKS]),
    order=st.sampled_from(Order),
    batch_percent=st.integers(0, 50),
    ageing=st.floats(0, 1000),
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "front", "next", "leave", "expire", "policy"]),
        st.sampled_from(Tier),
        st.sampled_from(["a", "b", "c"]),
        st.floats(0.1, 90),
        st.integers(0, 1000),
    ),
    max_size=60,
)


@given(POLICIES, POLICIES, STEPS)
def test_everybody_is_served_in_time_or_told_or_has_left_exactly_once(
    policy: Policy, other: Policy, steps: list[tuple[str, Tier, str, float, int]]
) -> None:
    queue: WaitingLine[int] = WaitingLine(policy)
    deadlines: list[float] = []
    tickets: list[Ticket[int]] = []
    ended: list[int] = []
    now = 0.0
    for what, tier, name, patience, tokens in steps:
        now += patience / 10
        if what in {"join", "front"}:
            wish = Wish(now, now + patience, tier, name, name, tokens, size=tokens)
            tickets.append(queue.join(len(deadlines), wish, front=what == "front"))
            deadlines.append(now + patience)
        elif what == "next":
            item = queue.next(now)
            if item is not None:
                assert deadlines[item] > now
                ended.append(item)
        elif what == "leave" and tickets:
            ticket = tickets[tokens % len(tickets)]
            if not ticket.gone:
                ended.append(ticket.item)
            queue.leave(ticket)
        elif what == "expire":
            late = queue.expired(now)
            assert all(deadlines[item] <= now for item in late)
            ended += [item for item in late if item not in ended]
        else:
            queue.serve_by(other)
        assert queue.size == sum(one.wish.size for one in tickets if not one.gone)
        assert queue.waiting() == {tier: [one.tier for one in tickets if not one.gone].count(tier) for tier in Tier}
    ended += [item for item in queue.clear() if item not in ended]
    assert (sorted(ended), len(queue)) == (list(range(len(deadlines))), 0)


@given(st.integers(1, 2000), st.floats(1, 500), st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50)), max_size=40))
def test_a_long_query_waits_no_longer_than_its_length_allows(
    tokens: int, rate: float, others: list[tuple[float, int]]
) -> None:
    queue: WaitingLine[float] = WaitingLine(Policy(order=Order.SHORTEST_REMAINING, ageing=rate))
    queue.join(-1.0, Wish(0.0, 1e9, tokens=tokens))
    for arrived, size in others:
        queue.join(arrived, Wish(arrived, 1e9, tokens=size))
    before = []
    while (item := queue.next(0.0)) != -1.0:
        assert item is not None
        before.append(item)
    assert all(arrived <= tokens / rate + 1e-6 for arrived in before)


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=5),
    st.lists(st.sets(st.integers(0, 4), min_size=1), max_size=60),
    st.integers(0, 40),
)
def test_weighted_turns_are_exact_over_any_cycle_whatever_waited_before(
    weights: list[int], history: list[set[int]], start: int
) -> None:
    names = [str(place) for place in range(len(weights))]
    turns = WeightedTurns(dict(zip(names, weights, strict=True)))

    def served(waiting: list[str]) -> str:
        name = turns.pick(waiting)
        turns.served(name, waiting)
        return name

    for places in history:
        if waiting := [name for place, name in enumerate(names) if place in places]:
            served(waiting)
    window = [served(names) for _ in range(start + sum(weights))][start:]
    assert [window.count(name) for name in names] == weights


@given(st.lists(st.integers(1, 9), min_size=2, max_size=5), st.integers(0, 40))
def test_weighted_turns_are_exact_over_any_cycle(weights: list[int], start: int) -> None:
    types = tuple(TaskType(str(place), weight, Tier.NORMAL) for place, weight in enumerate(weights))
    queue: WaitingLine[str] = WaitingLine(Policy(tiers=TierPolicy.WEIGHTED_ROUND_ROBIN, task_types=types))
    for one in types:
        for _ in range(sum(weights) + 45):
            queue.join(one.name, Wish(0.0, 1e9, task=one.name))
    turns = [queue.next(0.0) for _ in range(start + sum(weights))][start:]
    assert [turns.count(one.name) for one in types] == weights


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 200)), min_size=1, max_size=40),
    st.integers(0, 2**16),
)
def test_tenants_that_wait_throughout_are_served_within_one_longest_query(
    sizes: list[tuple[str, int]], seed: int
) -> None:
    """The bound of the Virtual Token Counter: the work of two backlogged tenants differs by one query at most."""
    queue: WaitingLine[tuple[str, int]] = WaitingLine(Policy(order=Order.FAIR))
    rng = Random(seed)
    for tenant, size in [*sizes, *((name, rng.randint(1, 200)) for name in "abc" for _ in range(20))]:
        queue.join((tenant, size), Wish(0.0, 1e9, tenant=tenant, tokens=size))
    work = dict.fromkeys("abc", 0)
    for _ in range(20):
        item = queue.next(0.0)
        assert item is not None
        work[item[0]] += item[1]
        assert max(work.values()) - min(work.values()) <= 200


@given(st.lists(st.tuples(st.sampled_from("aaaabc"), st.sampled_from(Tier)), max_size=60), st.integers(1, 12))
def test_a_full_queue_turns_away_only_tenants_that_have_their_share(
    arrivals: list[tuple[str, Tier]], room: int
) -> None:
    """And who makes place was less urgent or newer than all others of a tenant that has more than its share."""
    queue: WaitingLine[tuple[str, Tier]] = WaitingLine()
    waiting: list[tuple[str, Tier]] = []
    for tenant, tier in arrivals:
        wish = Wish(0.0, 1e9, tier, tenant=tenant)
        counts = Counter(name for name, _ in waiting)
        if len(waiting) == room:
            gone = queue.displaced_by(wish)
            if gone is None:
                larger = [name for name, count in counts.items() if count > counts[tenant] + 1]
                least = {name: max(list(Tier).index(one) for who, one in waiting if who == name) for name in larger}
                assert all(
                    place < list(Tier).index(tier)
                    for name, place in least.items()
                    if counts[name] == max(counts.values())
                )
                continue
            waiting.remove(gone)
            assert counts[gone[0]] == max(counts.values()) > counts[tenant] + 1
            assert list(Tier).index(gone[1]) >= list(Tier).index(tier)
        queue.join((tenant, tier), wish)
        waiting.append((tenant, tier))
        assert len(queue) == len(waiting) <= room


@given(st.integers(0, 50), st.integers(1, 60))
def test_batch_gets_its_share_of_turns_whatever_it_is(percent: int, hundreds: int) -> None:
    turns = StrictTurns(percent)
    waiting = [Tier.NORMAL, Tier.BATCH]
    served = []
    for _ in range(hundreds * 10):
        served.append(turns.pick(waiting))
        turns.served(served[-1], waiting)
    assert abs(served.count(Tier.BATCH) - len(served) * percent / 100) < 1


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=30))
def test_the_rank_correlation_is_kendall_s_tau_b(pairs: list[tuple[float, float]]) -> None:
    """By its definition: concordant less discordant pairs, over what is tied in neither ranking."""
    signs = [((a > c) - (a < c), (b > d) - (b < d)) for (a, b), (c, d) in combinations(pairs, 2)]
    untied = sum(map(abs, (one for one, _ in signs))) * sum(map(abs, (other for _, other in signs)))
    expected = sum(one * other for one, other in signs) / sqrt(untied) if untied else 0.0
    assert kendall_tau(pairs) == pytest.approx(expected)


@given(st.lists(st.integers(0, 9), min_size=1, max_size=100))
def test_a_template_s_length_is_the_median_of_its_last_32_answers(tokens: list[int]) -> None:
    predictor = Predictor(unknown=1000.0)
    for one in tokens:
        predictor.saw(Asked("t", "list", 10), 1.0, one)
    last = sorted(tokens[-32:])
    expected = max(1.0, last[len(last) // 2]) if len(tokens) >= 4 else 1000.0
    assert predictor.predict(Asked("t", "list", 10)) == expected
