"""What limits promise whatever is asked and when: no more than allowed, and nobody is told a wrong time."""

from hypothesis import given
from hypothesis import strategies as st

from autoglm_api.keys import Tier
from autoglm_gateway.admit import DrainRate, retry_after
from autoglm_gateway.principals import Bucket, Caller, use_of
from autoglm_gateway.retries import RetryBudget
from autoglm_gateway.spillover import Room, spill_to

TIMES = st.lists(st.tuples(st.floats(0, 30), st.floats(0.1, 50)), min_size=1, max_size=60)
ROOMS = st.lists(
    st.builds(
        Room,
        st.sampled_from("abcd"),
        st.integers(0, 20),
        st.integers(0, 20),
        st.sampled_from([0, 0, 0, 1]),
        waking=st.sampled_from([False, False, True]),
    ),
    max_size=3,
)


@given(st.floats(1, 1000), TIMES)
def test_a_bucket_gives_out_a_minute_s_worth_and_what_flows_in_but_one_amount_more(
    per_minute: float, steps: list[tuple[float, float]]
) -> None:
    bucket, now, taken, most = Bucket(per_minute), 0.0, 0.0, 0.0
    for passed, amount in steps:
        now += passed
        seconds = bucket.wait(amount, now)
        if seconds <= 0:
            bucket.take(amount, now)
            taken, most = taken + amount, max(most, amount)
        assert taken <= per_minute * (1 + now / 60) + most + 1e-6


@given(st.floats(1, 1000), TIMES)
def test_who_waits_as_long_as_told_gets_what_was_asked_for(per_minute: float, steps: list[tuple[float, float]]) -> None:
    bucket, now = Bucket(per_minute), 0.0
    for passed, amount in steps:
        now += passed
        now += bucket.wait(amount, now) + 1e-6
        assert bucket.wait(amount, now) == 0
        bucket.take(amount, now)


@given(st.integers(1, 50), st.integers(1, 8), st.lists(st.booleans(), max_size=80))
def test_of_one_key_no_more_are_at_once_than_it_may_and_every_end_makes_place(
    most: int, gateways: int, steps: list[bool]
) -> None:
    caller = Caller("web", "shop", None, Tier.NORMAL, may_choose_class=False, concurrency=most)
    use = use_of(caller, gateways)
    share = -(-most // gateways)
    for begins in steps:
        if begins and use.refusal(1.0, 0.0) is None:
            use.begin(1.0, 0.0)
        elif begins:
            assert use.at_once == share
        elif use.at_once:
            use.end(0.0, 0.0)
        assert 0 <= use.at_once <= share


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.01]), st.integers(0, 20)), min_size=20, max_size=60))
def test_retries_are_a_fifth_of_the_queries_and_three_a_second_at_most(steps: list[tuple[float, int]]) -> None:
    budget, now, queries, retries = RetryBudget(), 0.0, 0, 0
    for passed, came in steps:
        now += passed
        for _ in range(came):
            budget.saw_query(now)
        queries += came
        retries += sum(budget.take(now) for _ in range(20))
        # Both are remembered for ten seconds, so that much of the three a second may come at once.
        assert retries <= max(0.2 * queries, 30) + 3 * now + 1


@given(st.integers(0, 5000), st.integers(0, 5000), st.floats(0, 1e6))
def test_whoever_is_refused_is_told_a_time_between_a_second_and_a_minute(waiting: int, limit: int, rate: float) -> None:
    seconds = retry_after(waiting, limit, rate)
    assert (seconds is None) is (waiting < limit)
    assert seconds is None or 1 <= seconds <= 60


@given(st.floats(1, 200), st.integers(10, 60))
def test_the_drain_rate_is_about_the_real_one_after_a_while(per_second: float, seconds: int) -> None:
    rate, count = DrainRate(), int(per_second * (seconds + 40))
    for number in range(count):
        rate.record(number / per_second)
    assert abs(rate.per_second(count / per_second) / per_second - 1) < 0.15


@given(ROOMS, ROOMS, st.integers(0, 100))
def test_a_query_spills_only_where_its_class_is_full_and_the_floor_is_kept(
    own: list[Room], other: list[Room], floor: int
) -> None:
    to = spill_to(own, other, floor)
    if to is None:
        return
    assert all(room.is_full and not room.waking for room in own)
    chosen = [room for room in other if room.name == to and not room.queued]
    assert any((room.slots - room.in_flight - 1) * 100 >= floor * room.slots for room in chosen)
    assert any(room.in_flight < room.slots for room in chosen)
