"""Opens connections, with a time limit that counts the other side's delay and not one's own."""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

Made = TypeVar("Made", bound=asyncio.Protocol)

# A connection that was made while this process was held up needs a few turns of the event loop to be seen: one to read
# the socket's state, the others to hand it on.
_TURNS: Final = 8


async def connected(made: Callable[[], Made], host: str, port: int, seconds: float) -> Made:
    """Connect and return the protocol.

    A process that was busy or got no processor for longer than `seconds` sees its timer before it sees the connection
    that has long been there; so after the timer there are a few turns more, which cost nothing.

    Raises:
        TimeoutError: not within the time.
        OSError: refused or unreachable.
    """
    opening = asyncio.create_task(_opened(made, host, port))
    try:
        await asyncio.wait((opening,), timeout=seconds)
        for _ in range(_TURNS):
            if opening.done():
                return opening.result()
            await asyncio.sleep(0)
        raise TimeoutError(f"no connection within {seconds} s")
    finally:
        opening.cancel()
        if opening.done() and not opening.cancelled():
            opening.exception()  # looked at, so that nothing warns of it


async def _opened(made: Callable[[], Made], host: str, port: int) -> Made:
    _, protocol = await asyncio.get_running_loop().create_connection(made, host, port)
    return protocol
