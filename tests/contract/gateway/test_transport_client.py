"""The upstream client against servers that behave well and badly, on raw sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from autoglm_transport.client import UpstreamPool
from autoglm_transport.errors import (
    BrokenAnswerError,
    ConnectFailedError,
    FirstByteTimeoutError,
    NoAnswerError,
)
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.raw_http import HOST, eventually, serving
from support.raw_streams import listening

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Talk = Callable[[int, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def talking(talk: Talk) -> AsyncIterator[tuple[UpstreamPool, int, list[int]]]:
    """A raw server: `talk` gets the number of the connection and its streams; the list grows by each connection."""
    connections: list[int] = []

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(len(connections))
        await talk(connections[-1], reader, writer)

    pool = UpstreamPool(connect_seconds=1, stall_seconds=0.2)
    async with listening(accept) as port:
        try:
            yield pool, port, connections
        finally:
            await pool.close()


async def get(pool: UpstreamPool, port: int, method: str = "GET") -> tuple[int, bytes]:
    async with await pool.request(HOST, port, method, "/", first_byte_seconds=1) as response:
        return response.status, await response.read(100)


def answering(*answers: bytes) -> Talk:
    """Give these answers on every connection, one per request, then close."""

    async def talk(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            await writer.drain()

    return talk


async def test_connections_are_used_again() -> None:
    async with talking(answering(OK, OK, OK)) as (pool, port, connections):
        assert [await get(pool, port) for _ in range(3)] == [(200, b"ok")] * 3
        assert connections == [0]


async def test_a_stale_connection_is_replaced_once() -> None:
    gone = asyncio.Event()

    async def talk(number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        if number == 0:
            await reader.readuntil(b"\r\n\r\n")  # the second request is taken and never answered
            gone.set()

    async with talking(talk) as (pool, port, connections):
        assert [await get(pool, port), await get(pool, port)] == [(200, b"ok")] * 2
        assert (gone.is_set(), connections) == (True, [0, 1])


async def test_a_fresh_connection_that_closes_is_not_tried_again() -> None:
    async with talking(answering(b"")) as (pool, port, connections):
        with pytest.raises(NoAnswerError):
            await get(pool, port)
        assert connections == [0]


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\nuntil close", (200, b"until close")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, (200, b"ok")),
        (b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK, (200, b"ok")),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-T: 1\r\n\r\n", (200, b"ok")),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", (200, b"ok")),
    ],
)
async def test_ways_to_frame_an_answer(answer: bytes, result: tuple[int, bytes]) -> None:
    async with talking(answering(answer)) as (pool, port, _):
        assert await get(pool, port) == result


async def test_the_answer_to_head_has_no_body() -> None:
    async with talking(answering(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")) as (pool, port, _):
        assert await get(pool, port, "HEAD") == (200, b"")


@pytest.mark.parametrize(
    "answer",
    [
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n" + b"x" * 200,
    ],
    ids=["no HTTP", "short body", "cut chunk", "two framings", "huge header", "larger than asked for"],
)
async def test_broken_answers_are_errors(answer: bytes) -> None:
    async with talking(answering(answer)) as (pool, port, _):
        with pytest.raises(BrokenAnswerError):
            await get(pool, port)


async def test_more_than_the_answer_is_not_given_to_the_next_request() -> None:
    async with talking(answering(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", OK)) as (pool, port, _):
        answers = []
        for _ in range(2):
            try:
                answers.append(await get(pool, port))
            except BrokenAnswerError:
                answers.append((200, b"ok"))
        assert answers == [(200, b"ok")] * 2


async def test_nobody_listens() -> None:
    async with talking(answering(OK)) as (_, port, _):
        pass
    with pytest.raises(ConnectFailedError):
        await get(UpstreamPool(), port)


async def test_silence_before_and_within_an_answer() -> None:
    async def hang(request: Request, responder: Responder) -> None:
        if request.path == "/half":
            responder.start(200)
            await responder.write(b"a")
        await asyncio.sleep(60)

    async with serving(hang) as (server, port):
        pool = UpstreamPool(stall_seconds=0.1)
        with pytest.raises(FirstByteTimeoutError):
            await pool.request(HOST, port, "GET", "/", first_byte_seconds=0.1)
        with pytest.raises(BrokenAnswerError, match="silent"):
            await (await pool.request(HOST, port, "GET", "/half")).read(100)
        await eventually(lambda: server.in_flight == 0)
        await pool.close()


async def test_cancelling_and_closing_early_close_the_connection() -> None:
    async def endless(request: Request, responder: Responder) -> None:
        responder.start(200)
        while request.path == "/endless":
            await responder.write(b"x" * 65536)
        await asyncio.sleep(60)

    async with serving(endless) as (server, port):
        pool = UpstreamPool()
        (await pool.request(HOST, port, "GET", "/endless")).close()
        await eventually(lambda: server.in_flight == 0)
        reading = asyncio.create_task(get(pool, port))
        await eventually(lambda: server.in_flight == 1)
        reading.cancel()
        await eventually(lambda: server.in_flight == 0)
        await pool.close()


async def test_a_query_that_ends_its_upstream_is_not_taken_for_one_that_was_never_sent() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await reader.readuntil(b"\r\n\r\n")  # the second query is taken, and the whole server dies of it
        server.close()
        writer.close()

    server = await asyncio.start_server(talk, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    pool = UpstreamPool(connect_seconds=1)
    assert await get(pool, port) == (200, b"ok")
    with pytest.raises(NoAnswerError):
        await get(pool, port)
    await pool.close()


async def test_idle_connections_do_not_stay_for_ever() -> None:
    async def answer(request: Request, responder: Responder) -> None:
        await responder.send(200, [], b"ok")

    async with serving(answer) as (server, port):
        pool = UpstreamPool(max_idle_seconds=0.05)
        assert await get(pool, port) == (200, b"ok")
        await eventually(lambda: not server._connections and not pool._idle)
        await pool.close()


async def test_a_connection_that_outlives_its_upstream_is_not_kept() -> None:
    async with serving(close_after_answer) as (_, port):
        pool = UpstreamPool()
        assert await get(pool, port) == (200, b"ok")
        assert not pool._idle
        await pool.close()


async def close_after_answer(request: Request, responder: Responder) -> None:
    await responder.send(200, [("connection", "close")], b"ok")


async def test_idle_connections_make_room_for_new_ones() -> None:
    pool = UpstreamPool()
    pool.max_open = 2

    async def ok(_: Request, responder: Responder) -> None:
        await responder.send(200, [], b"ok")

    async with serving(ok) as (first, one), serving(ok) as (second, two), serving(ok) as (third, three):
        for port in (one, two, three):
            assert await get(pool, port) == (200, b"ok")
        await eventually(lambda: [len(server._connections) for server in (first, second, third)] == [0, 1, 1])
        await pool.close()
