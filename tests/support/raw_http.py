"""Raw bytes to a server and back: for what a well-behaved client would never send."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from autoglm_transport.limits import Limits
from autoglm_transport.server import Handler, HttpServer

HOST = "127.0.0.1"


@asynccontextmanager
async def serving(
    handler: Handler, limits: Limits | None = None, **options: Any
) -> AsyncIterator[tuple[HttpServer, int]]:
    """A real server of ours on a free port."""
    server = HttpServer(handler, limits or Limits(), **options)
    port = await server.start(HOST, 0)
    try:
        yield server, port
    finally:
        await server.close()


async def read_until_closed(reader: asyncio.StreamReader, seconds: float = 5.0) -> bytes:
    """Everything until the peer closes; what came if it does not within the time."""
    received = b""
    try:
        async with asyncio.timeout(seconds):
            while data := await reader.read(65536):
                received += data
    except (TimeoutError, ConnectionResetError):
        pass
    return received


async def exchange(port: int, data: bytes, *, seconds: float = 5.0) -> bytes:
    """Send bytes, return everything until the server closes."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(data)
        return await read_until_closed(reader, seconds)
    finally:
        writer.close()


async def eventually(condition: Callable[[], bool] | Callable[[], Awaitable[bool]], seconds: float = 3.0) -> None:
    """Return when the condition holds; fail the test when it does not in time."""
    async with asyncio.timeout(seconds):
        while True:
            held = condition()
            if held if isinstance(held, bool) else await held:
                return
            await asyncio.sleep(0.005)


def request(method: str = "GET", target: str = "/", *, body: bytes = b"", extra: str = "", close: bool = True) -> bytes:
    """A well-formed request."""
    head = f"{method} {target} HTTP/1.1\r\nHost: test\r\n{extra}"
    if body:
        head += f"Content-Length: {len(body)}\r\n"
    if close:
        head += "Connection: close\r\n"
    return head.encode() + b"\r\n" + body


def status_of(answer: bytes) -> int:
    """The status of the first answer in these bytes."""
    return int(answer.split(b" ", 2)[1])
