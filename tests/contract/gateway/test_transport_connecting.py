"""Connecting within a time: the other side's delay counts, one's own does not."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import uvloop

from autoglm_transport.client import UpstreamPool
from autoglm_transport.connecting import connected
from autoglm_transport.errors import ConnectFailedError
from support.raw_http import HOST
from support.raw_streams import listening


async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with listening(accept) as bound:
        yield bound


@pytest.fixture
def mute() -> Iterator[int]:
    """A port whose backlog is full: the kernel does not answer there."""
    with socket.socket() as full:
        full.bind((HOST, 0))
        full.listen(0)
        filling = [socket.socket() for _ in range(4)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        yield full.getsockname()[1]
        for one in filling:
            one.close()


def hold_up(seconds: float) -> None:
    """Let the event loop stand still, from its next turn on."""
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: loop.call_soon(time.sleep, seconds))


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_loop_that_was_held_up_longer_than_the_limit_has_its_connection(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def connect() -> None:
        async with listening(accept) as port:
            hold_up(0.5)
            protocol = await connected(asyncio.Protocol, HOST, port, 0.2)
            assert isinstance(protocol, asyncio.Protocol)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(connect())


async def test_a_held_up_pool_blames_no_upstream(port: int) -> None:
    pool = UpstreamPool(connect_seconds=0.2)
    hold_up(0.5)
    connection = await pool.connect((HOST, port))
    assert not connection.closed
    connection.abort()
    await pool.close()


async def test_an_upstream_that_does_not_answer_is_given_up_in_time(mute: int) -> None:
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"within 0\.3 s"):
        await connected(asyncio.Protocol, HOST, mute, 0.3)
    assert 0.25 < time.monotonic() - began < 2


async def test_a_pool_says_so(mute: int) -> None:
    pool = UpstreamPool(connect_seconds=0.2)
    with pytest.raises(ConnectFailedError, match=r"within 0\.2 s"):
        await pool.request(HOST, mute, "GET", "/")
    await pool.close()


async def test_a_refusal_is_told_at_once() -> None:
    with socket.socket() as unused:
        unused.bind((HOST, 0))
        with pytest.raises(ConnectionRefusedError):
            await connected(asyncio.Protocol, HOST, unused.getsockname()[1], 5)


async def test_one_who_no_longer_waits_leaves_no_connection_behind(mute: int) -> None:
    before = len(asyncio.all_tasks())
    waiting = asyncio.create_task(connected(asyncio.Protocol, HOST, mute, 5))
    await asyncio.sleep(0.05)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == before
