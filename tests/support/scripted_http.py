"""An HTTP server on loopback whose every byte a test scripts: replies, delays, drips, floods, resets."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from support.raw_streams import listening

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


def reply(status: str, body: bytes, *headers: str) -> Script:
    """Answer with this status line's end (such as `200 OK`) and body."""

    async def script(writer: asyncio.StreamWriter) -> None:
        head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers])
        writer.write(head.encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return script


@asynccontextmanager
async def scripted(script: Script, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve the script to every request; gives the base URL."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await script(writer)

    async with listening(serve, tls) as port:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
