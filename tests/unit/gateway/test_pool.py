import asyncio
import time

import pytest

from autoglm_api.spec import QueryClass, Queue
from autoglm_gateway.balance import Address, Replica
from autoglm_gateway.pool import Pool, PoolGoneError, QueueFullError, WaitedTooLongError
from autoglm_gateway.queueing import Tier, Wish
from autoglm_gateway.queueing.predict import Asked
from autoglm_gateway.serving import Need
from support.gateways import pool

LONG = Need(Wish(0.0, 1e12))


def one_slot(max_queries: int = 10) -> Pool:
    """A pool with one replica that takes one query at a time."""
    made = Pool(pool("light", QueryClass.SIMPLE, concurrency_per_replica=1), Queue(max_queries=max_queries))
    made.set_replicas({Address("h", 1): "r"}, 1, 0.0)
    return made


async def waiting(made: Pool, need: Need = LONG, *, again: bool = False) -> asyncio.Task[object]:
    """A query that has joined the queue."""
    task: asyncio.Task[object] = asyncio.ensure_future(made.take(need, again=again))
    await asyncio.sleep(0)
    return task


async def test_one_that_leaves_in_the_moment_of_its_grant_gives_the_replica_back() -> None:
    made = one_slot()
    replica = await made.take(LONG)
    leaver, next_one = await waiting(made), await waiting(made)
    made.release(replica, LONG)  # grants the leaver, who has not run since
    leaver.cancel()
    assert await next_one is replica
    assert (made.in_flight, made.queued) == (1, 0)


async def test_one_that_was_sent_back_is_first_and_never_refused() -> None:
    made = one_slot(max_queries=1)
    replica = await made.take(LONG)
    first = await waiting(made)
    with pytest.raises(QueueFullError):
        await made.take(LONG)
    sent_back = await waiting(made, again=True)
    made.release(replica, LONG)
    await asyncio.sleep(0)
    assert (sent_back.done(), first.done()) == (True, False)
    first.cancel()


async def test_the_deadline_and_the_end_of_a_pool_turn_away() -> None:
    made = one_slot()
    await made.take(LONG)
    late, other = await waiting(made, Need(Wish(0.0, 0.5))), await waiting(made)
    made.serve_waiting(1.0)
    made.dismiss()
    with pytest.raises(WaitedTooLongError):
        await late
    with pytest.raises(PoolGoneError):
        await other
    assert (made.in_flight, made.queued) == (1, 0)


async def test_a_replica_of_a_new_revision_starts_afresh() -> None:
    made = one_slot()
    old = await made.take(LONG)
    assert made.set_replicas({Address("h", 1): "r2"}, 1, 0.0) == []
    new = await made.take(LONG)
    assert (new is old, new.revision, made.in_flight) == (False, "r2", 2)
    made.release(old, LONG)
    made.release(new, LONG)
    assert made.set_replicas({}, 1, 0.0) == [Address("h", 1)]


async def test_nobody_waits_for_a_pool_that_is_gone() -> None:
    made = one_slot()
    replica = await made.take(LONG)
    made.dismiss()
    with pytest.raises(PoolGoneError):
        await made.take(LONG, again=True)
    made.release(replica, LONG)
    assert (made.in_flight, made.queued) == (0, 0)


async def test_a_replica_that_comes_back_still_has_its_queries() -> None:
    made = one_slot()
    replica = await made.take(LONG)
    made.set_replicas({}, 1, 0.0)
    made.set_replicas({Address("h", 1): "r"}, 1, 0.0)
    waiter = await waiting(made)
    assert not waiter.done()
    made.release(replica, LONG)
    assert await waiter is replica


async def test_the_end_of_a_query_costs_the_same_however_many_wait() -> None:
    made = one_slot(max_queries=100_000)
    replica = await made.take(LONG)
    waiters = [asyncio.ensure_future(made.take(LONG)) for _ in range(4_000)]
    await asyncio.sleep(0)
    start = time.perf_counter()
    for _ in range(200):
        made.release(replica, LONG)
    assert time.perf_counter() - start < 0.1
    for waiter in waiters:
        waiter.cancel()


def slots(count: int, **queue: object) -> Pool:
    """A pool with one replica of so many slots."""
    made = Pool(pool("light", QueryClass.SIMPLE, concurrency_per_replica=count), Queue.model_validate(queue))
    made.set_replicas({Address("h", 1): "r"}, 1, 0.0)
    return made


URGENT = Need(Wish(0.0, 1e12, Tier.URGENT))


async def test_a_reserve_is_kept_free_once_urgent_queries_come() -> None:
    made = slots(10)
    held = [await made.take(LONG) for _ in range(10)]
    urgent = await waiting(made, URGENT)
    normal = await waiting(made)
    made.release(held[0], LONG)
    await asyncio.sleep(0)
    assert (urgent.done(), normal.done()) == (True, False)
    made.release(held[1], LONG)
    await asyncio.sleep(0)
    assert not normal.done(), "the last slot is the reserve"
    await asyncio.wait_for(made.take(URGENT), 1)
    made.release(held[2], LONG)
    made.release(held[3], LONG)
    await asyncio.sleep(0)
    assert normal.done()


async def test_the_most_urgent_tier_is_served_first() -> None:
    made = slots(1, urgentReservePercent=0)
    replica = await made.take(LONG)
    normal, urgent = await waiting(made), await waiting(made, URGENT)
    assert (made.waiting()[Tier.NORMAL], made.waiting()[Tier.URGENT]) == (1, 1)
    made.release(replica, LONG)
    await asyncio.sleep(0)
    assert (urgent.done(), normal.done()) == (True, False)
    normal.cancel()


async def test_predictions_that_prove_worthless_bring_back_the_order_of_arrival() -> None:
    made = slots(1, order="ShortestRemaining")
    replica = await made.take(LONG)
    long_one, short = [await waiting(made, Need(Wish(0.0, 1e12, tokens=size))) for size in (900.0, 10.0)]
    for number in range(128):
        made.answered(Asked("t", "", 10), number % 7, (number * 37) % 101)
    assert not made.predictor.trusted
    made.release(replica, LONG)
    await asyncio.sleep(0)
    assert (long_one.done(), short.done()) == (True, False)
    short.cancel()


async def test_work_is_counted_while_it_is_there() -> None:
    made = slots(2)
    need = Need(Wish(0.0, 1e12), output_tokens=40, length=1)
    replica = await made.take(need)
    assert (replica.work, replica.lengths) == (40, [0, 1, 0])
    replica.work -= 15
    made.release(replica, need, work_left=25)
    assert (replica.work, replica.lengths, replica.in_flight) == (0, [0, 0, 0], 0)


async def test_a_prefix_goes_to_the_replica_that_has_seen_it() -> None:
    made = slots(8, prefixAffinity=True)
    made.set_replicas({Address("h", port): "r" for port in range(4)}, 1, 0.0)
    need = Need(Wish(0.0, 1e12), prefix=12345)
    seen = set()
    for _ in range(8):
        replica = await made.take(need)
        seen.add(replica.address)
        made.release(replica, need)
    assert len(seen) == 1


async def test_the_bodies_that_wait_are_bounded_but_one_may_always_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoglm_gateway.pool.MAX_WAITING_BYTES", 1000)
    made = one_slot()
    await made.take(LONG)
    huge, small = Need(Wish(0.0, 1e12, size=5000)), Need(Wish(0.0, 1e12, size=400))
    alone = await waiting(made, huge)
    with pytest.raises(QueueFullError):
        await made.take(small)
    alone.cancel()
    await asyncio.sleep(0)
    several = [await waiting(made, small) for _ in range(2)]
    with pytest.raises(QueueFullError) as refused:
        await made.take(small)
    assert refused.value.retry_after_seconds >= 1
    assert made.queued == 2
    for one in several:
        one.cancel()


def of(tenant: str, tier: Tier = Tier.NORMAL, size: int = 0) -> Need:
    return Need(Wish(0.0, 1e12, tier, tenant=tenant, size=size))


async def test_a_tenant_that_fills_the_queue_makes_place_for_others_and_not_for_itself() -> None:
    made = one_slot(max_queries=4)
    await made.take(LONG)
    flood = [await waiting(made, of("flood")) for _ in range(4)]
    with pytest.raises(QueueFullError):
        await made.take(of("flood"))
    others = [await waiting(made, of("other")) for _ in range(2)]
    await asyncio.sleep(0)
    assert [task.done() for task in flood] == [False, False, True, True], "the newest go"
    with pytest.raises(QueueFullError):
        await flood[3]
    with pytest.raises(QueueFullError):
        await made.take(of("other"))
    for task in [*flood, *others]:
        task.cancel()


@pytest.mark.parametrize(
    ("tier", "done"),
    [
        (Tier.URGENT, [False, False, False, True]),
        (Tier.BATCH, [False, False, False, True]),
    ],
)
async def test_the_least_urgent_makes_place(tier: Tier, done: list[bool]) -> None:
    made = one_slot(max_queries=4)
    await made.take(LONG)
    tiers = (Tier.BATCH, Tier.NORMAL, Tier.URGENT, Tier.BATCH)
    flood = [await waiting(made, of("flood", tier)) for tier in tiers]
    other = await waiting(made, of("other", tier))
    await asyncio.sleep(0)
    assert [task.done() for task in flood] == done
    for task in [*flood, other]:
        task.cancel()


async def test_nobody_more_urgent_and_nobody_sent_back_makes_place() -> None:
    made = one_slot(max_queries=3)
    await made.take(LONG)
    flood = [await waiting(made, of("flood", Tier.INTERACTIVE)) for _ in range(2)]
    flood.append(await waiting(made, of("flood", Tier.BATCH), again=True))
    with pytest.raises(QueueFullError):
        await made.take(of("other"))
    assert not any(task.done() for task in flood)
    for task in flood:
        task.cancel()


async def test_a_tenant_s_bodies_make_place_for_another_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoglm_gateway.pool.MAX_WAITING_BYTES", 100)
    made = one_slot()
    await made.take(LONG)
    flood = [await waiting(made, of("flood", size=30)) for _ in range(3)]
    other = await waiting(made, of("other", size=60))
    await asyncio.sleep(0)
    assert ([task.done() for task in flood], other.done()) == ([False, True, True], False)
    for task in [*flood, other]:
        task.cancel()


def replicas(count: int) -> tuple[Pool, list[Replica]]:
    made = Pool(pool("light", QueryClass.SIMPLE), Queue())
    made.set_replicas({Address("h", port): "r" for port in range(count)}, 1, 0.0)
    return made, list(made._replicas.values())


def ejected(some: list[Replica], now: float) -> int:
    return sum(not one.has_room(8, now) for one in some)


@pytest.mark.parametrize(("count", "left_alone"), [(1, 0), (2, 1), (3, 1), (4, 2), (10, 5)])
async def test_replicas_that_err_in_a_row_are_left_alone_half_of_them_at_most(count: int, left_alone: int) -> None:
    made, some = replicas(count)
    for one in some:
        for number in range(5):
            assert not ejected([one], 0.1), number
            made.ended(one, 0.0, good=False)
    assert ejected(some, 0.1) == left_alone
    assert ejected(some, 0.6) == 0, "after half a second there is a probe"


async def test_a_good_answer_in_between_makes_it_the_fault_of_the_queries() -> None:
    made, (one, _) = replicas(2)
    for number in range(100):
        made.ended(one, 0.0, good=number % 5 == 4)
    assert not ejected([one], 0.1)


async def test_a_probe_that_errs_is_followed_by_a_longer_pause() -> None:
    made, (one, _) = replicas(2)
    for _ in range(5):
        made.ended(one, 0.0, good=False)
    one.taken()
    assert ejected([one], 0.6), "one probe at a time"
    made.ended(one, 0.6, good=False)
    one.given_back()
    assert (ejected([one], 1.5), ejected([one], 1.7)) == (1, 0)
    one.answered()
    made.ended(one, 1.8, good=True)
    made.ended(one, 1.9, good=False)
    assert not ejected([one], 2.0)


async def test_what_is_in_flight_on_leaving_replicas_takes_no_slot_of_the_others() -> None:
    """In a rollout old replicas finish their streams for minutes."""
    made = Pool(pool("light", QueryClass.SIMPLE, concurrency_per_replica=4), Queue())
    made.set_replicas({Address("old", 1): "r1"}, 1, 0.0)
    for _ in range(4):
        await made.take(LONG)
    made.set_replicas({Address("new", 1): "r2"}, 1, 0.0)
    assert (made.room().slots, made.room().in_flight, made.room().is_full) == (4, 0, False)
    await asyncio.wait_for(made.take(URGENT), 1)  # from now on a slot is kept
    for _ in range(2):
        await asyncio.wait_for(made.take(LONG), 1)
    assert (await waiting(made)).done() is False
    assert made.demand().in_flight == 7
    made.dismiss()
