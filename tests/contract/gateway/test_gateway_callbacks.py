"""Queries that find an open connection are answered by callbacks: the same outcomes as by a task, without one."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from autoglm_api import names
from autoglm_api.cache import Cache
from autoglm_gateway.relay import Relay
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import GatewayUnderTest, Replica, answer_name, chat_body, config, replica, running_gateway
from support.raw_http import HOST, eventually, request, status_of

Handler = Callable[[Request, Responder], Awaitable[None]]
EVENTS = [("content-type", "text/event-stream")]
WARM = "warm up"


def after_warming(handler: Handler) -> Handler:
    async def handle(request: Request, responder: Responder) -> None:
        await (answer_name if WARM.encode() in request.body else handler)(request, responder)

    return handle


@asynccontextmanager
async def warm_gateway(
    handler: Handler, monkeypatch: pytest.MonkeyPatch, **times: float
) -> AsyncIterator[tuple[Replica, GatewayUnderTest]]:
    """A gateway with an open connection to its replica; a query that takes a task instead of callbacks fails."""

    async def carried(*_: object) -> None:
        raise AssertionError("this query was to be answered by callbacks")

    async with replica(after_warming(handler)) as light, running_gateway(light=[light.port], times=times) as gate:
        assert (await gate.chat(WARM)).status == 200
        monkeypatch.setattr(Relay, "carry", carried)
        yield light, gate


def in_flight(gate: GatewayUnderTest) -> int:
    return gate.gateway.fleet.pools["light"].in_flight


async def counted(gate: GatewayUnderTest, code: str) -> bool:
    metrics = await gate.send("GET", "/metrics", admin=True)
    return f'autoglm_gateway_queries_total{{class="Simple",code="{code}",pool="light"}} 1.0'.encode() in metrics.body


async def three_events(request: Request, responder: Responder) -> None:
    responder.start(200, EVENTS)
    for number in range(3):
        await responder.write(b"data: %d\n\n" % number)
        await asyncio.sleep(0.01)
    await responder.end()


async def one_event_and_a_break(request: Request, responder: Responder) -> None:
    responder.start(200, EVENTS)
    await responder.write(b"data: 1\n\n")
    await asyncio.sleep(0.01)
    responder.abort()


async def one_event_and_silence(request: Request, responder: Responder) -> None:
    responder.start(200, EVENTS)
    await responder.write(b"data: 1\n\n")
    await asyncio.sleep(60)


async def silence(request: Request, responder: Responder) -> None:
    await asyncio.sleep(60)


async def test_a_stream_comes_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    async with warm_gateway(three_events, monkeypatch) as (_, gate):
        answer = await gate.chat(stream=True)
        assert (answer.status, answer.body) == (200, b"data: 0\n\ndata: 1\n\ndata: 2\n\n")
        assert in_flight(gate) == 0


async def test_a_stream_that_breaks_ends_in_an_error_event(monkeypatch: pytest.MonkeyPatch) -> None:
    async with warm_gateway(one_event_and_a_break, monkeypatch) as (_, gate):
        assert (await gate.chat(stream=True)).body.startswith(b'data: 1\n\n\n\ndata: {"error":')
        assert await counted(gate, "broken")
        assert in_flight(gate) == 0


async def test_a_stalled_stream_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    async with warm_gateway(one_event_and_silence, monkeypatch, stall_seconds=0.1) as (light, gate):
        assert b"silent for too long" in (await gate.chat(stream=True)).body
        await eventually(lambda: light.cancelled == 1 and in_flight(gate) == 0)


async def test_a_silent_replica_is_answered_504(monkeypatch: pytest.MonkeyPatch) -> None:
    async with warm_gateway(silence, monkeypatch, answer_seconds=0.1) as (light, gate):
        assert (await gate.chat()).json["error"]["code"] == "answer_timeout"
        await eventually(lambda: light.cancelled == 1 and in_flight(gate) == 0)


@pytest.mark.parametrize("handler", [silence, one_event_and_silence])
async def test_a_client_that_leaves_frees_the_replica(handler: Handler, monkeypatch: pytest.MonkeyPatch) -> None:
    async with warm_gateway(handler, monkeypatch) as (light, gate):
        _, writer = await asyncio.open_connection(HOST, gate.port)
        writer.write(request("POST", names.PATH_CHAT, body=chat_body()))
        await eventually(lambda: light.in_flight == 1)
        writer.close()
        await eventually(lambda: light.cancelled == 1 and in_flight(gate) == 0)
        assert await counted(gate, "499")


async def test_a_slow_reader_slows_the_replica_down_and_gets_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces, written = 400, 0

    async def much(request: Request, responder: Responder) -> None:
        nonlocal written
        responder.start(200, [("content-type", "application/octet-stream")])
        for _ in range(pieces):
            await responder.write(b"x" * 65536)
            written += 1
        await responder.end()

    async with warm_gateway(much, monkeypatch) as (_, gate):
        reader, writer = await asyncio.open_connection(HOST, gate.port, limit=1024)
        writer.write(request("POST", names.PATH_CHAT, body=chat_body()))
        await eventually(lambda: written > 0)
        await asyncio.sleep(0.3)
        held = written
        await asyncio.sleep(0.1)
        assert written == held < pieces
        total = 0
        while piece := await reader.read(1 << 20):
            total += piece.count(b"x")
        assert total >= pieces * 65536
        writer.close()
        await eventually(lambda: in_flight(gate) == 0)


async def test_an_idle_connection_that_the_replica_closes_in_that_moment_is_replaced() -> None:
    """Nothing of an answer has come and the replica is well: no retry is counted, nobody is blamed."""
    served: list[int] = []

    async def once_per_connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(0)
        for first in (True, False):
            await reader.readuntil(b"\r\n\r\n")
            await reader.read(65536) if first else None
            if first:
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
                served[-1] += 1
        writer.transport.abort()

    async with (
        await asyncio.start_server(once_per_connection, HOST, 0) as server,
        running_gateway(light=[server.sockets[0].getsockname()[1]]) as gate,
    ):
        assert [(await gate.chat(f"lamp {number}")).status for number in range(3)] == [200] * 3
        metrics = await gate.send("GET", "/metrics", admin=True)
        assert b"autoglm_gateway_retries_total{" not in metrics.body
        assert served == [1, 1, 1]


async def test_a_replica_that_fails_after_warming_is_replaced_by_another() -> None:
    async def failed(request: Request, responder: Responder) -> None:
        await responder.send(503, [("content-type", "application/json")], b"{}")

    async with replica(after_warming(failed)) as bad, replica() as good, running_gateway(light=[bad.port]) as gate:
        assert (await gate.chat(WARM)).status == 200
        gate.locate(light=[bad.port, good.port])
        assert [(await gate.chat()).status for _ in range(4)] == [200] * 4
        assert len(bad.requests) == 2
        assert in_flight(gate) == 0


async def test_a_client_that_leaves_while_its_query_is_tried_again_frees_its_place() -> None:
    async with replica(after_warming(silence)) as slow, replica() as gone, running_gateway(light=[gone.port]) as gate:
        assert (await gate.chat(WARM)).status == 200
        gate.locate(light=[slow.port])
        _, writer = await asyncio.open_connection(HOST, gate.port)
        writer.write(request("POST", names.PATH_CHAT, body=chat_body()))  # the new replica has no open connection yet
        await eventually(lambda: slow.in_flight == 1)
        writer.close()
        await eventually(lambda: slow.cancelled == 1 and in_flight(gate) == 0)


async def test_many_requests_at_once_on_one_connection_are_answered_in_order() -> None:
    """None of them waits, so one answer could lead into the next without end."""
    models = [request("GET", names.PATH_MODELS, close=False)] * 100
    async with replica() as light, running_gateway(light=[light.port]) as gate:
        await gate.chat(WARM)
        chats = [request("POST", names.PATH_CHAT, body=chat_body(f"{n}"), close=n == 9) for n in range(10)]
        reader, writer = await asyncio.open_connection(HOST, gate.port)
        writer.write(b"".join(models + chats))
        answers = (await reader.read(-1)).split(b"HTTP/1.1 ")[1:]
        writer.close()
    assert [status_of(b"HTTP/1.1 " + answer) for answer in answers] == [200] * 110
    assert all(b'"object":"list"' in answer for answer in answers[:100])
    assert [b"done" in answer for answer in answers] == [False] * 100 + [True] * 10


async def test_repeated_queries_by_callbacks_are_stored_at_the_second_and_found_at_the_third() -> None:
    async with replica() as light, running_gateway(config(cache=Cache()), light=[light.port]) as gate:
        await gate.chat(WARM)
        told = [(await gate.chat("same", temperature=0)).headers[names.HEADER_CACHE] for _ in range(3)]
        assert (told, len(light.requests)) == (["miss", "miss", "hit"], 3)


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue of connections is full: Linux drops what else comes, so a connection takes for ever."""
    with socket.create_server((HOST, 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection((HOST, port)):
            yield port


async def test_a_client_that_leaves_while_a_connection_is_made_frees_its_place(deaf_port: int) -> None:
    async with running_gateway(light=[deaf_port]) as gate:
        _, writer = await asyncio.open_connection(HOST, gate.port)
        writer.write(request("POST", names.PATH_CHAT, body=chat_body()))
        await eventually(lambda: in_flight(gate) == 1)
        writer.close()
        await eventually(lambda: in_flight(gate) == 0)
        assert await counted(gate, "499")
