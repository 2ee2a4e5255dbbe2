"""What the reserve promises to Urgent, in pools of every size: `serving.Reserve`."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_api.spec import QueryClass, Queue
from autoglm_gateway.balance import Address, Replica
from autoglm_gateway.pool import Pool
from autoglm_gateway.queueing import Tier, Wish
from autoglm_gateway.serving import Need
from support.gateways import pool

STEPS = st.lists(st.tuples(st.sampled_from(["normal", "urgent", "end"]), st.integers(0, 99)), max_size=60)
Taken = tuple[Tier, Need, "asyncio.Task[Replica]"]


async def play(made: Pool, kept: int, steps: list[tuple[str, int]]) -> None:
    """Queries come and end; none is there before the first Urgent one."""
    slots, taken = made.room().slots, list[Taken]()

    def in_flight() -> Counter[Tier]:
        return Counter(tier for tier, _, task in taken if task.done())

    for what, number in [("urgent", 0), *steps]:
        if what == "end":
            working = [one for one in taken if one[2].done()]
            if working:
                ended = working[number % len(working)]
                taken.remove(ended)
                made.release(await ended[2], ended[1])
        else:
            tier = Tier.URGENT if what == "urgent" else Tier.NORMAL
            before = in_flight()
            need = Need(Wish(0.0, 1e12, tier))
            taken.append((tier, need, asyncio.ensure_future(made.take(need))))
            await asyncio.sleep(0)
            assert tier is Tier.NORMAL or before[tier] >= kept or taken[-1][2].done()
        await asyncio.sleep(0)
        now = in_flight()
        assert now[Tier.NORMAL] <= slots - kept
        assert now.total() <= slots
        assert not made.waiting()[Tier.NORMAL] or now.total() >= slots - kept, "a slot that is not kept stays unused"
    for *_, task in taken:
        task.cancel()


@pytest.mark.parametrize(
    ("replicas", "cap", "kept"), [(1, 1, 0), (1, 2, 1), (3, 1, 1), (1, 4, 1), (2, 5, 1), (1, 20, 2)]
)
@given(STEPS)
def test_an_urgent_query_waits_for_nobody_while_fewer_of_its_kind_than_kept_slots_are_in_flight(
    replicas: int, cap: int, kept: int, steps: list[tuple[str, int]]
) -> None:
    made = Pool(pool("light", QueryClass.SIMPLE, concurrency_per_replica=cap), Queue(max_queries=1000))
    made.set_replicas({Address("h", port): "r" for port in range(replicas)}, 1, 0.0)
    asyncio.run(play(made, kept, steps))
