"""What the transport refuses, on raw sockets: the hardening list of the data plane."""

import asyncio
from collections.abc import Callable

import pytest

from autoglm_transport.connection import UNTOLD_SECONDS
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import HttpServer
from support.raw_http import HOST, eventually, exchange, read_until_closed, request, serving, status_of

SMALL = Limits(max_header_bytes=1000, max_headers=20, max_body_bytes=100)


async def echo(request: Request, responder: Responder) -> None:
    await responder.send(200, [], f"{request.method} {request.target} ".encode() + request.body)


def chunked(body: bytes) -> bytes:
    return b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + body


def head(*lines: str) -> bytes:
    return "\r\n".join(["POST / HTTP/1.1", "Host: a", *lines, "", ""]).encode()


MALFORMED = {
    "length and chunked": head("Content-Length: 3", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "two lengths": head("Content-Length: 3", "Content-Length: 4") + b"abc",
    "signed length": head("Content-Length: +3") + b"abc",
    "comma length": head("Content-Length: 3, 3") + b"abc",
    "encoding after chunked": head("Transfer-Encoding: chunked, identity") + b"0\r\n\r\n",
    "unknown encoding": head("Transfer-Encoding: xchunked") + b"0\r\n\r\n",
    "bare CR in a header": head("X: \rTransfer-Encoding: chunked") + b"0\r\n\r\n",
    "bare LF as line end": b"POST / HTTP/1.1\r\nHost: a\nContent-Length: 3\r\n\r\nabc",
    "space before the colon": head("Content-Length : 3") + b"abc",
    "folded header": head("A: 1", " 2"),
    "NUL in a header": head("A: 1\0"),
    "no host": b"GET / HTTP/1.1\r\n\r\n",
    "two hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "bad chunk size": chunked(b"zz\r\nabc\r\n0\r\n\r\n"),
    "chunk longer than its size": chunked(b"3\r\nabcXX\r\n0\r\n\r\n"),
    "chunk size ends in LF": chunked(b"3\nabc\r\n0\r\n\r\n"),
    "huge chunk size": chunked(b"fffffffffffffffff\r\nabc"),
    "chunked in HTTP/1.0": b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED.keys())
async def test_malformed_requests_get_400_and_the_connection_closes(data: bytes) -> None:
    async with serving(echo, SMALL) as (_, port):
        answer = await exchange(port, data + request("GET", "/smuggled"))
        assert status_of(answer) == 400
        assert b"smuggled" not in answer


TOO_MUCH = {
    "one large header": (request(extra=f"A: {'x' * 1000}\r\n"), 431),
    "header that never ends": (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"x" * 2000, 431),
    "many headers": (request(extra="A: 1\r\n" * 30), 431),
    "long target": (request(target="/" + "x" * 2000), 431),
    "announced body": (head("Content-Length: 101"), 413),
    "chunked body": (chunked(b"65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n"), 413),
    "endless chunk extension": (chunked(b"3;" + b"x" * 5000), 413),
    "unknown expectation": (head("Expect: coffee", "Content-Length: 3"), 417),
    "tunnel": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
}


@pytest.mark.parametrize(("data", "status"), TOO_MUCH.values(), ids=TOO_MUCH.keys())
async def test_what_is_too_much_is_refused_by_name(data: bytes, status: int) -> None:
    async with serving(echo, SMALL) as (_, port):
        assert status_of(await exchange(port, data)) == status


async def test_a_body_over_the_limit_is_refused_before_it_is_sent() -> None:
    async with serving(echo, SMALL) as (_, port):
        answer = await exchange(port, head("Content-Length: 1000000000", "Expect: 100-continue"))
        assert status_of(answer) == 413  # and no 100 Continue


async def test_the_body_limit_can_change_while_the_server_runs() -> None:
    async with serving(echo, Limits(max_body_bytes=100)) as (server, port):
        server.limits.max_body_bytes = 2
        assert status_of(await exchange(port, request("POST", body=b"abc"))) == 413


async def test_expect_100_continue_is_answered_before_the_body() -> None:
    async with serving(echo, SMALL) as (_, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(head("Expect: 100-continue", "Content-Length: 3", "Connection: close"))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await read_until_closed(reader)).endswith(b"POST / abc")
        writer.close()


async def test_chunked_bodies_with_trailers_are_read() -> None:
    async with serving(echo, SMALL) as (_, port):
        answer = await exchange(port, chunked(b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n"))
        assert answer.endswith(b"POST / abcde")


async def test_an_upgrade_is_ignored_and_the_next_request_served() -> None:
    async with serving(echo, SMALL) as (_, port):
        upgrade = request(target="/1", extra="Connection: upgrade\r\nUpgrade: h2c\r\n", close=False)
        answer = await exchange(port, upgrade + request(target="/2"))
        assert (b"GET /1" in answer, b"GET /2" in answer) == (True, True)


async def test_pipelined_requests_run_one_at_a_time_and_in_order() -> None:
    running: list[int] = []

    async def slow(request: Request, responder: Responder) -> None:
        running.append(len(running))
        assert len(running) == 1
        await asyncio.sleep(0.001)
        running.clear()
        await responder.send(200, [], request.path.encode())

    async with serving(slow) as (_, port):
        data = b"".join(request(target=f"/{number}", close=False) for number in range(20)) + request(target="/last")
        answer = await exchange(port, data)
        assert [part.split(b"HTTP")[0] for part in answer.split(b"\r\n\r\n")[1:]] == [
            *(f"/{number}".encode() for number in range(20)),
            b"/last",
        ]


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"GET / HTTP/1.1\r\nHost", 408), (head("Content-Length: 3") + b"a", 408)],
    ids=["headers", "body"],
)
async def test_slow_clients_are_cut_off(data: bytes, status: int) -> None:
    limits = Limits(header_timeout_seconds=0.1, body_timeout_seconds=0.1)
    async with serving(echo, limits) as (_, port):
        assert status_of(await exchange(port, data)) == status


async def test_idle_connections_are_closed_in_silence() -> None:
    async with serving(echo, Limits(idle_timeout_seconds=0.1)) as (_, port):
        answer = await exchange(port, request(close=False))
        assert answer.count(b"HTTP/1.1") == 1


async def test_a_client_that_does_not_read_is_cut_off_and_costs_bounded_memory() -> None:
    written = 0

    async def endless(request: Request, responder: Responder) -> None:
        nonlocal written
        responder.start(200)
        while True:
            await responder.write(b"x" * 65536)
            written += 65536

    async with serving(endless, Limits(write_timeout_seconds=0.1)) as (server, port):
        reader, writer = await asyncio.open_connection(HOST, port, limit=1024)
        writer.write(request())
        await eventually(lambda: server.in_flight == 1)
        await eventually(lambda: server.in_flight == 0)
        assert written < 16_000_000  # the kernel's socket buffers, not the answer
        del reader
        writer.close()


async def test_too_many_connections_are_turned_away() -> None:
    async with serving(echo, Limits(max_connections=1)) as (_, port):
        _, first = await asyncio.open_connection(HOST, port)
        assert status_of(await exchange(port, b"")) == 503
        first.close()


async def test_idle_clients_are_closed_when_fewer_are_allowed_and_busy_ones_are_not() -> None:
    async def slowly(request: Request, responder: Responder) -> None:
        await asyncio.sleep(1)
        await responder.send(200, [], b"late")

    async with serving(slowly) as (server, port):
        crowd = [await asyncio.open_connection(HOST, port) for _ in range(9)]
        crowd[4][1].write(request())
        await eventually(lambda: server.in_flight == 1)
        server.limits.max_connections = 3
        await eventually(lambda: len(server._connections) == 3)
        assert status_of(await crowd[4][0].readuntil(b"\r\n\r\n")) == 200
        for _, writer in crowd:
            writer.close()


async def test_a_client_that_leaves_cancels_its_handler() -> None:
    seen: list[bool] = []

    async def hang(request: Request, responder: Responder) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            seen.append(responder.disconnected.is_set())

    async with serving(hang) as (server, port):
        _, writer = await asyncio.open_connection(HOST, port)
        writer.write(request())
        await eventually(lambda: server.in_flight == 1)
        writer.close()
        await eventually(lambda: seen == [True] and server.in_flight == 0)


async def test_http_1_0_gets_no_chunks() -> None:
    async def stream(request: Request, responder: Responder) -> None:
        responder.start(200)
        await responder.write(b"abc")
        await responder.end()

    async with serving(stream) as (_, port):
        answer = await exchange(port, b"GET / HTTP/1.0\r\n\r\n")
        assert (b"chunked" in answer, answer.endswith(b"\r\n\r\nabc")) == (False, True)


async def test_a_handler_cannot_inject_a_header() -> None:
    async def inject(request: Request, responder: Responder) -> None:
        await responder.send(200, [("a", "1\r\nset-cookie: stolen")])

    async with serving(inject) as (_, port):
        answer = await exchange(port, request())
        assert (status_of(answer), b"stolen" in answer) == (500, False)


async def test_drain_waits_for_what_is_in_flight_and_closes_the_rest() -> None:
    finish = asyncio.Event()

    async def wait(request: Request, responder: Responder) -> None:
        await finish.wait()
        await responder.send(200)

    async with serving(wait) as (server, port):
        busy = asyncio.create_task(exchange(port, request(close=False)))
        idle, idle_writer = await asyncio.open_connection(HOST, port)
        await eventually(lambda: server.in_flight == 1)
        server.stop_accepting()
        assert await server.drain(0.05) == 1
        assert await read_until_closed(idle, 2 * UNTOLD_SECONDS) == b""
        finish.set()
        assert await server.drain(5) == 0
        assert b"connection: close" in await busy
        idle_writer.close()


async def test_what_a_client_sends_ahead_is_bounded() -> None:
    async with serving(forever) as (server, port):
        _, writer = await asyncio.open_connection(HOST, port)
        writer.write(request(close=False))
        await eventually(lambda: server.in_flight == 1)
        (connection,) = server._connections
        writer.write(request("POST", body=b"x" * 4_000_000) * 8)
        await eventually(lambda: len(connection._pending) > 65536)
        await asyncio.sleep(0.05)
        assert len(connection._pending) < 1_000_000
        writer.close()


async def forever(request: Request, responder: Responder) -> None:
    await asyncio.sleep(60)


UPGRADE = "Connection: upgrade\r\nUpgrade: h2c\r\n"


@pytest.mark.parametrize(
    ("extra", "body"),
    [
        (UPGRADE + "Content-Length: 3\r\n", b"abc"),
        (UPGRADE + "Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n0\r\n\r\n"),
    ],
    ids=["length", "chunked"],
)
async def test_the_body_of_an_upgrade_is_no_request(extra: str, body: bytes) -> None:
    async with serving(echo, SMALL) as (_, port):
        first = request("POST", "/1", extra=extra, close=False) + body
        answer = await exchange(port, first + request(target="/2"))
        assert (b"POST /1 abc" in answer, b"GET /2" in answer) == (True, True)


async def test_an_upgrade_s_body_is_bounded() -> None:
    async with serving(echo, SMALL) as (_, port):
        assert status_of(await exchange(port, request("POST", extra=UPGRADE + "Content-Length: 101\r\n"))) == 413


async def test_a_client_that_never_reads_the_end_of_an_answer_is_cut_off() -> None:
    async def fill(request: Request, responder: Responder) -> None:
        transport = responder._connection._transport
        assert transport is not None
        responder.start(200)
        while transport.get_write_buffer_size() == 0:
            await responder.write(b"x" * 16384)
        await responder.end()

    async with serving(fill, Limits(write_timeout_seconds=0.1)) as (server, port):
        _, writer = await asyncio.open_connection(HOST, port, limit=1024)
        writer.write(request())
        await eventually(lambda: len(server._connections) == 1)
        await eventually(lambda: not server._connections)
        writer.close()


async def streamed(request: Request, responder: Responder) -> None:
    responder.start(200)
    await responder.write(b"abc")
    await asyncio.sleep(0.1)
    await responder.end()


@pytest.mark.parametrize("stop", [HttpServer.stop_keepalive, HttpServer.stop_accepting])
async def test_a_client_that_was_not_told_of_the_end_may_ask_once_more(stop: Callable[[HttpServer], None]) -> None:
    async with serving(streamed) as (server, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(request(close=False))
        await reader.readuntil(b"abc\r\n")
        stop(server)
        draining = asyncio.create_task(server.drain(5))
        assert await reader.readuntil(b"0\r\n\r\n")
        await asyncio.sleep(0.05)
        writer.write(request(close=False))
        answer = await read_until_closed(reader, 1.0)
        assert (status_of(answer), b"connection: close" in answer, await draining) == (200, True, 0)
        writer.close()


async def test_a_stream_that_ends_in_a_drain_closes_its_connection() -> None:
    async with serving(streamed) as (server, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(request(close=False))
        await reader.readuntil(b"abc\r\n")
        server.stop_accepting()
        assert await read_until_closed(reader, 3 * UNTOLD_SECONDS) == b"0\r\n\r\n"
        assert not server._connections
        writer.close()


async def test_bodies_that_wait_take_bounded_memory() -> None:
    finish = asyncio.Event()

    async def wait(request: Request, responder: Responder) -> None:
        if request.body:
            await finish.wait()
        await responder.send(200)

    async with serving(wait, Limits(max_held_bytes=100)) as (server, port):
        alone = asyncio.create_task(exchange(port, request("POST", body=b"x" * 150)))
        await eventually(lambda: server.in_flight == 1)
        refused = await exchange(port, request("POST", body=b"x"))
        assert (status_of(refused), b"retry-after" in refused) == (503, True)
        assert status_of(await exchange(port, request())) == 200
        finish.set()
        assert status_of(await alone) == 200
        assert status_of(await exchange(port, request("POST", body=b"x"))) == 200
