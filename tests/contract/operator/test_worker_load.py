"""Replicas asked how busy they are, over sockets: some answer, some lie, some are slow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from autoglm_api import names
from autoglm_operator.core.pods import Pod
from autoglm_operator.shell.worker_load import in_flight_of
from support.raw_streams import listening


@asynccontextmanager
async def _page(text: str, status: int = 200, delay: float = 0.0) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(delay)
        body = text.encode()
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)

    async with listening(answer) as port:
        yield port


def _pod(name: str = "a", address: str = "127.0.0.1") -> Pod:
    return Pod(name, "worker", "light", "r", ready=True, live=True, evidence=None, address=address)


def _metric(value: str) -> str:
    return f"# TYPE {names.METRIC_NODE_IN_FLIGHT} gauge\n{names.METRIC_NODE_IN_FLIGHT} {value}\nother 5\n"


@pytest.mark.parametrize(
    ("text", "status", "found"),
    [
        (_metric("3.0"), 200, {"a": 3}),
        (_metric("0"), 200, {"a": 0}),
        (_metric("NaN"), 200, {}),
        (_metric("+Inf"), 200, {}),
        (_metric("-1"), 200, {}),
        (_metric("many"), 200, {}),
        (_metric("3.0"), 503, {}),
        ("other 5\n", 200, {}),
        ("x" * (2 << 20), 200, {}),
    ],
)
async def test_a_replica_tells_a_number_or_nothing(text: str, status: int, found: dict[str, int]) -> None:
    async with _page(text, status) as port:
        assert await in_flight_of([_pod()], port) == found


async def test_one_that_is_silent_does_not_hide_the_others() -> None:
    async with _page(_metric("2")) as port:
        assert await in_flight_of([_pod("a"), _pod("gone", "127.0.0.2"), _pod("new", "")], port) == {"a": 2}


async def test_slow_ones_are_not_waited_for() -> None:
    async with _page(_metric("2"), delay=30) as port, asyncio.timeout(5):
        assert await in_flight_of([_pod("a"), _pod("b")], port) == {}
