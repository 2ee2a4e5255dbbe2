"""Requests that try to be two, or to be endless: what the table in docs/reference/hardening.md names."""

import asyncio
import socket

import pytest

from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from support.raw_http import HOST, eventually, exchange, read_until_closed, request, serving, status_of


async def tell(request: Request, responder: Responder) -> None:
    """Say what was understood."""
    names = ",".join(sorted(name.decode() for name, _ in request.headers))
    await responder.send(200, [], f"[{request.method} {request.target} {names} ".encode() + request.body + b"]")


def post(head: str, body: bytes = b"") -> bytes:
    return f"POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n".encode() + body


CHUNKED = "Transfer-Encoding: chunked\r\n"
END = b"0\r\n\r\n"
SMUGGLING = {
    "TE before CL": post(CHUNKED + "Content-Length: 4\r\n", END),
    "tab before TE's colon": post("Transfer-Encoding\t: chunked\r\n", END),
    "vertical tab in TE": post("Transfer-Encoding: \x0bchunked\r\n", END),
    "TE in quotes": post('Transfer-Encoding: "chunked"\r\n', END),
    "TE chunked twice": post("Transfer-Encoding: chunked, chunked\r\n", END),
    "TE identity": post("Transfer-Encoding: identity\r\nContent-Length: 3\r\n", b"abc"),
    "TE gzip without chunked": post("Transfer-Encoding: gzip\r\n", END),
    "TE on two lines": post(CHUNKED + "Transfer-Encoding: identity\r\n", END),
    "same length twice": post("Content-Length: 3\r\nContent-Length: 3\r\n", b"abc"),
    "empty length": post("Content-Length: \r\n"),
    "hexadecimal length": post("Content-Length: 0x3\r\n", b"abc"),
    "negative length": post("Content-Length: -1\r\n"),
    "length with an underscore": post("Content-Length: 1_0\r\n", b"0123456789"),
    "length of other digits": "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \u0663\r\n\r\nabc".encode(),
    "folded TE": post("Transfer-Encoding:\r\n chunked\r\n", END),
    "header without a colon": post("Transfer-Encoding chunked\r\n", END),
    "header without a name": post(": chunked\r\n"),
    "first header is folded": b"POST / HTTP/1.1\r\n Host: a\r\n\r\n",
    "negative chunk": post(CHUNKED, b"-1\r\n\r\n"),
    "chunk with 0x": post(CHUNKED, b"0x3\r\nabc\r\n" + END),
    "space before the chunk size": post(CHUNKED, b" 3\r\nabc\r\n" + END),
    "chunk data ends in LF": post(CHUNKED, b"3\r\nabc\n" + END),
    "chunk data ends in other bytes": post(CHUNKED, b"3\r\nabcxx" + END),
    "last chunk ends in LF": post(CHUNKED, b"0\n\n"),
    "line break in an extension": post(CHUNKED, b"3;a\nb\r\nabc\r\n" + END),
    "bare CR in an extension": post(CHUNKED, b"3;a\rb\r\nabc\r\n" + END),
    "bare CR as line end": b"GET / HTTP/1.1\rHost: a\r\r",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "method of other characters": b"GE\x01T / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/0.9": b"GET /\r\n\r\n",
    "lower-case version": b"GET / http/1.1\r\nHost: a\r\n\r\n",
}


@pytest.mark.parametrize("data", SMUGGLING.values(), ids=SMUGGLING.keys())
async def test_what_two_parsers_could_read_differently_is_refused_and_nothing_after_it_served(data: bytes) -> None:
    async with serving(tell) as (_, port):
        answer = await exchange(port, data + request(target="/smuggled"))
        assert 400 <= status_of(answer) < 506
        assert (answer.count(b"content-length: "), b"smuggled" in answer) == (1, False)


HARMLESS = {
    "trailers": post(CHUNKED + "Connection: close\r\n", b"1\r\nx\r\n0\r\nAuthorization: Bearer stolen\r\n\r\n"),
    "body of a GET": b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    "two spaces in the request line": b"POST  / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: close\r\n\r\nx",
    "empty lines first": b"\r\n\r\n" + request("POST", body=b"x"),
}


@pytest.mark.parametrize("data", HARMLESS.values(), ids=HARMLESS.keys())
async def test_odd_and_harmless_requests_are_read_as_they_are_meant(data: bytes) -> None:
    async with serving(tell) as (_, port):
        answer = await exchange(port, data)
        assert (status_of(answer), b" x]" in answer, b"authorization" in answer) == (200, True, False)


async def drip(port: int, first: bytes, drop: bytes, every: float) -> float:
    """Send drops until the server hangs up; returns the seconds that took, at most 3."""
    loop = asyncio.get_running_loop()
    reader, writer = await asyncio.open_connection(HOST, port)
    begun = loop.time()
    writer.write(first)
    closed = asyncio.create_task(read_until_closed(reader, 3.0))
    while not closed.done():
        writer.write(drop)
        await asyncio.wait([closed], timeout=every)
    writer.close()
    return loop.time() - begun


DRIPS = {
    "header lines": (b"GET / HTTP/1.1\r\nHost: a\r\n", b"A: 1\r\n"),
    "request line": (b"GET /", b"a"),
    "empty lines": (b"", b"\r\n"),
    "body": (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n", b"a"),
    "chunks": (post(CHUNKED), b"1\r\na\r\n"),
    "chunk extension": (post(CHUNKED, b"1;"), b"a"),
    "trailers": (post(CHUNKED, b"0\r\n"), b"A: 1\r\n"),
}


@pytest.mark.parametrize(("first", "drop"), DRIPS.values(), ids=DRIPS.keys())
async def test_one_byte_now_and_then_does_not_keep_a_connection_open(first: bytes, drop: bytes) -> None:
    limits = Limits(header_timeout_seconds=0.1, body_timeout_seconds=0.1)
    async with serving(tell, limits) as (server, port):
        assert await drip(port, first, drop, 0.02) < 1.5
        await eventually(lambda: not server._connections)


async def test_a_refused_client_that_goes_on_sending_is_cut_off() -> None:
    async with serving(tell) as (server, port):
        reader, writer = await asyncio.open_connection(HOST, port)
        writer.write(b"\0")
        assert status_of(await reader.readuntil(b"\r\n\r\n")) == 400
        with pytest.raises(ConnectionError):
            await send_on(writer)
        await eventually(lambda: not server._connections)
        writer.close()


async def send_on(writer: asyncio.StreamWriter) -> None:
    """Send for five seconds."""
    for _ in range(1000):
        writer.write(b"x" * 65536)
        await asyncio.wait_for(writer.drain(), 4)
        await asyncio.sleep(0.005)


async def test_resets_in_every_phase_leave_nothing_behind() -> None:
    whole = request("POST", body=b"x" * 50)
    async with serving(tell) as (server, port):
        for length in range(1, len(whole)):
            _, writer = await asyncio.open_connection(HOST, port)
            writer.write(whole[:length])
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # close sends a reset
            writer.close()
        await eventually(lambda: not server._connections and server.in_flight == 0)
        assert status_of(await exchange(port, whole)) == 200


async def test_a_thousand_idle_connections_cost_no_query_its_answer() -> None:
    async with serving(tell) as (server, port):
        idle = [await asyncio.open_connection(HOST, port) for _ in range(1000)]
        assert len(server._connections) == 1000
        assert status_of(await exchange(port, request())) == 200
        for _, writer in idle:
            writer.close()
        await eventually(lambda: not server._connections)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_empty_host_is_every_address_of_both_families(host: str) -> None:
    seen = []

    async def note(request: Request, responder: Responder) -> None:
        seen.append(responder.peer)
        await responder.send(204)

    async with serving(note) as (server, _):
        port = await server.start("", 0)
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            pytest.skip("no IPv6 here")
        writer.write(request())
        assert status_of(await read_until_closed(reader)) == 204
        assert seen == [host]  # an IPv4 address is shown as one
        writer.close()
