"""What a child has started can be ended without the child."""

import asyncio

from autoglm_node.processes import Child


async def test_the_children_of_a_child_are_killed_and_the_child_lives() -> None:
    child = Child(["/bin/sh", "-c", "sleep 60 & wait; sleep 60"], {})
    try:
        async with asyncio.timeout(10):
            while (killed := child.kill_children()) == 0:  # noqa: ASYNC110 - the shell gives no event
                await asyncio.sleep(0.02)
        assert killed == 1
        assert not child.exit_code.done()
    finally:
        await child.stop(0)
