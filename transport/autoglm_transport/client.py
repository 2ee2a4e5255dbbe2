"""Calls upstreams over keep-alive HTTP/1.1 connections."""

import asyncio
from collections import deque
from collections.abc import Iterable
from typing import Final

from autoglm_transport.connecting import connected
from autoglm_transport.errors import ConnectFailedError, NoAnswerError
from autoglm_transport.exchange import UpstreamConnection, UpstreamResponse
from autoglm_transport.http import Pair, encode_pairs, request_line

Address = tuple[str, int]

_TICK_SECONDS: Final = 0.25
# Shorter than any server's idle timeout that we know, so that a reused connection is rarely a dead one.
_MAX_IDLE_SECONDS: Final = 30.0
_MAX_IDLE_PER_HOST: Final = 256


class UpstreamPool:
    """Keep-alive connections to many upstreams; one exchange at a time on each.

    `stall_seconds` bounds the silence between two pieces of a body, None means no bound.
    """

    def __init__(self, *, connect_seconds: float = 2.0, stall_seconds: float | None = 60.0) -> None:
        self._connect_seconds = connect_seconds
        self._stall_seconds = stall_seconds
        self._idle: dict[Address, deque[UpstreamConnection]] = {}
        self._busy: set[UpstreamConnection] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def request(
        self,
        host: str,
        port: int,
        method: str,
        target: str,
        headers: Iterable[Pair] = (),
        body: bytes = b"",
        *,
        first_byte_seconds: float | None = None,
    ) -> UpstreamResponse:
        """Send a request and return its answer as soon as status and headers are here.

        `host` and framing headers are added. A reused connection that turns out to be closed before any byte of an
        answer is replaced once by a fresh one. Cancelling closes the connection.

        Raises:
            ConnectFailedError: no connection within the connect timeout; nothing was sent.
            NoAnswerError: the connection broke (or `first_byte_seconds` passed) before the first byte.
            BrokenAnswerError: what came is no answer.
        """
        message = self._message(host, port, method, target, headers, body)
        address = (host, port)
        connection = self._take_idle(address)
        if connection is not None:
            try:
                return await self._exchange(connection, address, message, method, first_byte_seconds)
            except NoAnswerError as error:
                if not connection.stale:
                    raise
                connection = await self._replacement(address, error)
        else:
            connection = await self._connect(address)
        return await self._exchange(connection, address, message, method, first_byte_seconds)

    async def _replacement(self, address: Address, error: NoAnswerError) -> UpstreamConnection:
        """Connect anew; an upstream that is gone altogether may have died of the request, which was sent to it."""
        try:
            return await self._connect(address)
        except ConnectFailedError:
            raise error from None

    async def close(self) -> None:
        """Cut every connection."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connections in [*self._idle.values(), self._busy.copy()]:
            for connection in connections:
                connection.abort()
        self._idle.clear()

    def forget(self, host: str, port: int) -> None:
        """Close the idle connections to an upstream that has gone."""
        for connection in self._idle.pop((host, port), ()):
            connection.abort()

    def _message(self, host: str, port: int, method: str, target: str, headers: Iterable[Pair], body: bytes) -> bytes:
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        pairs = [("host", authority), *headers]
        if body or method in {"POST", "PUT", "PATCH"}:
            pairs.append(("content-length", str(len(body))))
        return b"%b%b\r\n%b" % (request_line(method, target), encode_pairs(pairs), body)

    async def _exchange(
        self,
        connection: UpstreamConnection,
        address: Address,
        message: bytes,
        method: str,
        first_byte_seconds: float | None,
    ) -> UpstreamResponse:
        self._busy.add(connection)
        try:
            await connection.exchange(message, head_only=method == "HEAD", first_byte_seconds=first_byte_seconds)
        except BaseException:
            self._busy.discard(connection)
            connection.abort()
            raise
        return UpstreamResponse(connection, lambda used: self._release(used, address), self._stall_seconds)

    def _release(self, connection: UpstreamConnection, address: Address) -> None:
        self._busy.discard(connection)
        if not connection.reusable or len(self._idle.get(address, ())) >= _MAX_IDLE_PER_HOST:
            connection.abort()
            return
        connection.rest()
        self._idle.setdefault(address, deque()).append(connection)

    def _take_idle(self, address: Address) -> UpstreamConnection | None:
        idle = self._idle.get(address)
        oldest = asyncio.get_running_loop().time() - _MAX_IDLE_SECONDS
        while idle:
            connection = idle.pop()
            if not connection.closed and connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    async def _connect(self, address: Address) -> UpstreamConnection:
        if self._timer is None:
            self._tick()
        try:
            return await connected(UpstreamConnection, *address, self._connect_seconds)
        except TimeoutError:
            raise ConnectFailedError(f"no connection within {self._connect_seconds} s") from None
        except OSError as error:
            raise ConnectFailedError(f"no connection: {error.strerror or error}") from error

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._busy):
            connection.check_time(now)
        self._forget_idle(now - _MAX_IDLE_SECONDS)
        self._timer = loop.call_later(_TICK_SECONDS, self._tick)

    def _forget_idle(self, oldest: float) -> None:
        """Close what nobody has used since `oldest`: upstreams come and go, and nobody says good-bye for all."""
        for address, idle in list(self._idle.items()):
            while idle and (idle[0].closed or idle[0].idle_since < oldest):
                idle.popleft().abort()
            if not idle:
                del self._idle[address]
