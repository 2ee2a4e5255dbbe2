"""The client against servers that misbehave: each failure is typed, in time and bounded in memory."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.readings import Fresh, Problem
from autoglm_operator.shell.prometheus import Prometheus, PrometheusError
from support.prometheus_replies import SHOP, gateway_rows, vector
from support.scripted_http import Script, reply, scripted

DEADLINE_SECONDS = 0.5
MAX_BODY_BYTES = 1_000_000


async def silence(writer: asyncio.StreamWriter) -> None:
    await writer.drain()
    await asyncio.sleep(2)


async def drip(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    for _ in range(100):
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def flood(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    for _ in range(100):
        writer.write(b" " * 1_000_000)
        await writer.drain()


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def cut_short(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    await writer.drain()


async def gibberish(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
    await writer.drain()


CASES = [
    (reply("500 Internal Server Error", b"boom"), Problem.HTTP_STATUS),
    (reply("401 Unauthorized", b""), Problem.HTTP_STATUS),
    (reply("422 Unprocessable Entity", b'{"status":"error","error":"bad query"}'), Problem.HTTP_STATUS),
    (reply("302 Found", b"", "Location: http://127.0.0.1:1/"), Problem.HTTP_STATUS),
    (reply("204 No Content", b""), Problem.HTTP_STATUS),
    (reply("200 OK", b"<html>please log in</html>"), Problem.BAD_REPLY),
    (silence, Problem.TIMEOUT),
    (drip, Problem.TIMEOUT),
    (flood, Problem.TOO_LARGE),
    (hang_up, Problem.UNREACHABLE),
    (cut_short, Problem.UNREACHABLE),
    (gibberish, Problem.UNREACHABLE),
]


@pytest.mark.parametrize(("script", "problem"), CASES)
async def test_a_broken_server_gives_a_typed_failure_in_time(script: Script, problem: Problem) -> None:
    # Short only where the deadline is what ends it: on a busy machine any answer may take a while.
    deadline = DEADLINE_SECONDS if problem is Problem.TIMEOUT else 10.0
    started = time.monotonic()
    async with scripted(script) as url:
        client = Prometheus(url, deadline_seconds=deadline, max_body_bytes=MAX_BODY_BYTES)
        with pytest.raises(PrometheusError) as failed:
            await client.read(datetime.now(UTC))
        await client.aclose()
    assert failed.value.problem is problem
    assert time.monotonic() - started < deadline + 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://no-such-host.invalid", "gopher://127.0.0.1"])
async def test_an_address_that_leads_nowhere(url: str) -> None:
    client = Prometheus(url, deadline_seconds=5)
    with pytest.raises(PrometheusError) as failed:
        await client.read(datetime.now(UTC))
    assert failed.value.problem is Problem.UNREACHABLE
    await client.aclose()


async def test_a_certificate_that_nobody_signed(self_signed: str) -> None:
    client = Prometheus(self_signed, deadline_seconds=5)
    with pytest.raises(PrometheusError) as failed:
        await client.read(datetime.now(UTC))
    assert failed.value.problem is Problem.UNREACHABLE
    assert "CERTIFICATE_VERIFY_FAILED" in failed.value.detail
    await client.aclose()


async def test_a_healthy_server_is_read() -> None:
    async with scripted(reply("200 OK", vector(gateway_rows()))) as url:
        client = Prometheus(url)
        metrics = await client.read(datetime.now(UTC))
        await client.aclose()
    assert metrics.gateways.load(ObjectKey(*SHOP), "light").queued == Fresh(5000)
