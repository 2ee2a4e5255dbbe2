import asyncio
import time

import pytest

from autoglm_api import names
from autoglm_node.admission import Admission, Door
from autoglm_node.failure import RefusalError


async def sit(admission: Admission, seconds: float = 60, deadline: float | None = None) -> str:
    try:
        async with admission.seat(deadline):
            await asyncio.sleep(seconds)
    except RefusalError as refusal:
        return f"{refusal.status} {refusal.code}"
    return "done"


async def seated(admission: Admission, count: int) -> list["asyncio.Task[str]"]:
    tasks = [asyncio.create_task(sit(admission)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def end(tasks: list["asyncio.Task[str]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_more_than_the_cap_is_refused() -> None:
    admission = Admission(2)
    tasks = await seated(admission, 2)
    assert await sit(admission, 0) == "429 replica_full"
    await end(tasks)
    assert await sit(admission, 0) == "done"


async def test_a_cancelled_query_frees_its_seat() -> None:
    counts: list[int] = []
    admission = Admission(1, counts.append)
    await end(await seated(admission, 1))
    assert (admission.in_flight, counts) == (0, [1, 0])


async def test_the_deadline_is_on_time() -> None:
    start = asyncio.get_running_loop().time()
    assert await sit(Admission(1), 60, deadline=0.05) == "504 deadline"
    assert asyncio.get_running_loop().time() - start < 0.3


async def test_how_late_a_deadline_was_is_told() -> None:
    late = list[float]()
    admission = Admission(1, on_late=late.append)

    async def hold_the_loop() -> None:
        await asyncio.sleep(0)
        time.sleep(0.1)  # noqa: ASYNC251 - as one long call of a library would

    told, _ = await asyncio.gather(sit(admission, deadline=0.02), hold_the_loop())
    assert told == "504 deadline"
    assert late[0] >= 0.07
    assert len(late) == 1
    sitting = asyncio.create_task(sit(admission, deadline=60))
    await asyncio.sleep(0)
    admission.evict("gone", "it is gone")
    assert await sitting == "503 gone"
    assert len(late) == 1


async def test_a_deadline_that_has_passed_already() -> None:
    assert await sit(Admission(1), 60, deadline=0) == "504 deadline"


@pytest.mark.parametrize("door", [Door.DRAINING, Door.ENGINE_DOWN])
async def test_a_closed_door_sends_elsewhere(door: Door) -> None:
    admission = Admission(1)
    admission.door = door
    with pytest.raises(RefusalError) as refused:
        async with admission.seat(None):
            pass
    assert (refused.value.status, dict(refused.value.headers)) == (503, {names.HEADER_DRAINING: "1"})


async def test_the_evicted_are_told() -> None:
    admission = Admission(3)
    tasks = await seated(admission, 3)
    assert admission.evict("evicted", "the house closes") == 3
    assert await asyncio.gather(*tasks) == ["503 evicted"] * 3
    assert await admission.wait_empty(1)


async def test_waiting_for_the_last_one() -> None:
    admission = Admission(1)
    tasks = await seated(admission, 1)
    assert not await admission.wait_empty(0.01)
    await end(tasks)
    assert await admission.wait_empty(0.01)


async def test_one_whose_deadline_just_passed_does_not_save_the_others_from_eviction() -> None:
    admission = Admission(2)

    async def slow_to_leave() -> None:
        async with admission.seat(0.0):
            try:
                await asyncio.sleep(60)
            finally:
                await asyncio.sleep(0.01)

    leaving = asyncio.create_task(slow_to_leave())
    await asyncio.sleep(0.005)
    (staying,) = await seated(admission, 1)
    admission.evict("evicted", "the house closes")
    assert await staying == "503 evicted"
    with pytest.raises(RefusalError, match="deadline"):
        await leaving


@pytest.mark.parametrize(
    ("door", "suspect", "after"),
    [
        (Door.OPEN, True, Door.ENGINE_DOWN),
        (Door.MEMORY, True, Door.ENGINE_DOWN),
        (Door.DRAINING, True, Door.DRAINING),
        (Door.RECYCLING, True, Door.RECYCLING),
        (Door.ENGINE_DOWN, False, Door.OPEN),
        (Door.OPEN, False, Door.OPEN),
        (Door.MEMORY, False, Door.MEMORY),
        (Door.DRAINING, False, Door.DRAINING),
    ],
)
def test_a_suspected_engine_gets_no_newcomers(door: Door, suspect: bool, after: Door) -> None:  # noqa: FBT001
    admission = Admission(2)
    admission.door = door
    admission.suspect(suspect)
    assert admission.door is after
