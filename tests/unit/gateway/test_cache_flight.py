import asyncio

from autoglm_gateway.cache.entry import Entry
from autoglm_gateway.cache.single_flight import SingleFlight, Turn

ENTRY = Entry(b"answer", (), stream=False, tokens=1, stored_at=0.0)


async def joined(flight: SingleFlight, patience: float = 10.0) -> "asyncio.Task[Entry | Turn]":
    task = asyncio.ensure_future(flight.join(b"k", patience))
    await asyncio.sleep(0)
    return task


async def test_one_leads_and_all_get_its_answer() -> None:
    flight = SingleFlight()
    leader, *others = [await joined(flight) for _ in range(4)]
    assert (await leader, flight.waiting(b"k")) == (Turn.LEAD, 3)
    flight.land(b"k", ENTRY)
    assert await asyncio.gather(*others) == [ENTRY] * 3
    assert len(flight) == 0


async def test_an_answer_that_cannot_be_shared_sends_each_alone() -> None:
    flight = SingleFlight()
    _, one, two = [await joined(flight) for _ in range(3)]
    flight.land(b"k", None)
    assert (await one, await two) == (Turn.ALONE, Turn.ALONE)


async def test_a_failed_leader_is_followed_by_the_next_who_is_still_there() -> None:
    flight = SingleFlight()
    _, left, heir, last = [await joined(flight) for _ in range(4)]
    left.cancel()
    await asyncio.sleep(0)
    flight.fail(b"k")
    assert await heir is Turn.LEAD
    flight.land(b"k", ENTRY)
    assert await last is ENTRY


async def test_one_that_leaves_in_the_moment_it_is_to_lead_hands_on() -> None:
    flight = SingleFlight()
    _, leaver, heir = [await joined(flight) for _ in range(3)]
    flight.fail(b"k")  # the leaver is told to lead, and has not run since
    leaver.cancel()
    assert await heir is Turn.LEAD
    flight.fail(b"k")
    assert len(flight) == 0


async def test_patience_ends() -> None:
    flight = SingleFlight()
    await joined(flight)
    hasty = await joined(flight, 0.01)
    assert await hasty is Turn.ALONE
    assert flight.waiting(b"k") == 0
