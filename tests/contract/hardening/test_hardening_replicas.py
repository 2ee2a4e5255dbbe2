"""Replicas that answer wrongly, on raw sockets: what a client sees is whole, its own, and HTTP."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from autoglm_api import names
from support.gateways import Answer, GatewayUnderTest, chat_body, running_gateway
from support.raw_http import HOST, read_until_closed, request, status_of
from support.raw_streams import listening

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\ngood"
EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"


@asynccontextmanager
async def gateway_before(*answers: bytes, close: bool = False) -> AsyncIterator[GatewayUnderTest]:
    """A gateway whose replica sends these bytes, one after the other for each request; the last one again and again."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.split(b":")[1]))
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()
            if close:
                return

    async with listening(serve) as port, running_gateway(light=[port]) as gate:
        yield gate


async def asked(gate: GatewayUnderTest) -> Answer:
    return await gate.send(body=chat_body())


@pytest.mark.parametrize("extra", [EVIL, b"\r\n" + EVIL, b"x"])
async def test_more_than_an_answer_is_nobodys(extra: bytes) -> None:
    async with gateway_before(OK + extra, OK) as gate:
        first, *later = [await asked(gate) for _ in range(4)]
        assert first.status == 502 or first.body == b"good"
        assert [answer.body for answer in later] == [b"good"] * 3


async def test_what_comes_unasked_between_two_queries_is_nobodys() -> None:
    late, connections = asyncio.Event(), 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        first = connections == 1
        await reader.readuntil(b"\r\n\r\n")
        await reader.read(4096)
        writer.write(OK)
        if first:
            await late.wait()
            writer.write(EVIL)
        await reader.read()

    async with listening(serve) as port, running_gateway(light=[port]) as gate:
        assert (await asked(gate)).body == b"good"
        late.set()
        await asyncio.sleep(0.05)
        assert (await asked(gate)).body == b"good"
        assert connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\ngood!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\ngood",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4, 4\r\n\r\ngood",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 4\r\n\r\ngood",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 4\r\n\r\ngood",
        b"HTTP/1.1 200 OK\r\nX y: a\r\nContent-Length: 4\r\n\r\ngood",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\ngood",
        b"HTTP/1.1 99 Odd\r\nContent-Length: 4\r\n\r\ngood",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
async def test_what_is_no_answer_is_502_and_tells_nothing_of_it(answer: bytes) -> None:
    async with gateway_before(answer, close=True) as gate:
        got = await asked(gate)
        assert got.status == 502
        assert orjson.loads(got.body)["error"]["type"] == "server_error"
        assert b"good" not in got.body
        assert "upgrade" not in got.headers


async def test_an_early_hint_is_not_the_answer() -> None:
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    async with gateway_before(hint + OK) as gate:
        assert [(await asked(gate)).body for _ in range(2)] == [b"good", b"good"]


async def test_headers_that_are_between_gateway_and_replica_do_not_pass() -> None:
    told = (
        b"HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Proxy-Authenticate: Basic\r\nX-Autoglm-Routed-Class: Complex\r\nX-Autoglm-Invented: 1\r\n"
        b"X-Request-Id: forged\r\nX-Own: kept\r\nContent-Length: 4\r\n\r\ngood"
    )
    async with gateway_before(told) as gate:
        answer = await gate.send(body=chat_body(), headers=[(names.HEADER_REQUEST_ID, "mine")])
        kept = answer.headers
        assert (answer.body, kept["x-own"]) == (b"good", "kept")
        assert not {"x-secret", "keep-alive", "proxy-authenticate", "x-autoglm-invented"} & kept.keys()
        assert (kept[names.HEADER_ROUTED_CLASS], kept[names.HEADER_REQUEST_ID]) == ("Simple", "mine")


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\ngood",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngoodEE\r\n0\r\n\r\n",
    ],
)
async def test_an_answer_that_is_cut_off_is_never_taken_for_a_whole_one(answer: bytes) -> None:
    async with gateway_before(answer, close=True) as gate:
        reader, writer = await asyncio.open_connection(HOST, gate.port)
        writer.write(request("POST", names.PATH_CHAT, body=chat_body()))
        got = await read_until_closed(reader)
        writer.close()
        assert not got.endswith(b"0\r\n\r\n")
        if got and status_of(got) == 200:
            head, _, body = got.partition(b"\r\n\r\n")
            assert b"content-length: %d\r" % len(body) not in head.lower()


@pytest.mark.parametrize(
    ("path", "shape"),
    [(names.PATH_CHAT, dict), ("/v2/models/shop-assistant/infer", str)],
)
async def test_the_parsers_own_refusals_have_the_paths_shape(path: str, shape: type) -> None:
    async with gateway_before(OK) as gate:
        reader, writer = await asyncio.open_connection(HOST, gate.port)
        writer.write(request("POST", path, extra="Content-Length: 99999999\r\n"))
        got = await read_until_closed(reader)
        writer.close()
        assert status_of(got) == 413
        assert isinstance(orjson.loads(got.partition(b"\r\n\r\n")[2])["error"], shape)
