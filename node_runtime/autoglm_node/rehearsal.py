"""Queries that a worker asks itself before it is Ready, on the way that clients' queries take."""

import asyncio
import logging
from collections.abc import Iterable
from typing import Final

from autoglm_node.failure import EngineError
from autoglm_transport.client import UpstreamPool
from autoglm_transport.errors import UpstreamError
from autoglm_transport.limits import Limits
from autoglm_transport.server import Handler, HttpServer

log = logging.getLogger(__name__)

QUERY_SECONDS: Final = 120.0
_HOST: Final = "127.0.0.1"
_MOST_BYTES: Final = 16 << 20
_OK: Final = 200


async def rehearse(handler: Handler, queries: Iterable[tuple[str, bytes]], most_body_bytes: int) -> None:
    """Have the handler answer queries (path, body) on a port of its own; EngineError when one is not answered."""
    server = HttpServer(handler, Limits(max_body_bytes=most_body_bytes))
    port = await server.start(_HOST, 0)
    pool = UpstreamPool(connect_seconds=1.0, stall_seconds=QUERY_SECONDS)
    try:
        for path, body in queries:
            await _ask(pool, port, path, body)
    finally:
        await pool.close()
        await server.close()


async def _ask(pool: UpstreamPool, port: int, path: str, body: bytes) -> None:
    headers = [("content-type", "application/json")]
    try:
        async with asyncio.timeout(QUERY_SECONDS):
            response = await pool.request(_HOST, port, "POST", path, headers, body, first_byte_seconds=QUERY_SECONDS)
            async with response:
                answer = await response.read(_MOST_BYTES)
    except (UpstreamError, TimeoutError) as error:
        raise EngineError(f"a query to {path} was not answered: {error}") from None
    if response.status != _OK:
        raise EngineError(f"a query to {path} was answered with {response.status}: {answer[:200]!r}")
