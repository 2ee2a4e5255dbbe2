"""Calls upstreams over keep-alive HTTP/1.1 connections."""

import asyncio
from collections import deque
from collections.abc import Iterable
from functools import lru_cache
from math import inf
from typing import Final

from autoglm_transport.connecting import connected
from autoglm_transport.errors import ConnectFailedError, NoAnswerError
from autoglm_transport.exchange import Listener, UpstreamConnection
from autoglm_transport.http import Pair, encode_pairs, request_line
from autoglm_transport.response import UpstreamResponse

Address = tuple[str, int]

_TICK_SECONDS: Final = 0.25
# Shorter than any server's idle timeout that we know, so that a reused connection is rarely a dead one.
MAX_IDLE_SECONDS: Final = 30.0
_MAX_IDLE_PER_HOST: Final = 256
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})


class UpstreamPool:
    """Keep-alive connections to many upstreams; one exchange at a time on each.

    `stall_seconds` bounds the silence between two pieces of a body, None means no bound. A connection that nobody has
    used for `max_idle_seconds` is closed, and idle ones where there would be more than `max_open`, which may change at
    any time.
    """

    def __init__(
        self,
        *,
        connect_seconds: float = 2.0,
        stall_seconds: float | None = 60.0,
        max_idle_seconds: float = MAX_IDLE_SECONDS,
    ) -> None:
        self._connect_seconds = connect_seconds
        self._max_idle_seconds = max_idle_seconds
        self.stall_seconds = stall_seconds
        self.max_open: float = inf
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
        message = message_of(host, port, method, target, encode_pairs(headers), body)
        address = (host, port)
        connection = self.idle(address)
        if connection is not None:
            try:
                return await self._exchange(connection, address, message, method, first_byte_seconds)
            except NoAnswerError as error:
                if not connection.stale:
                    raise
                connection = await self._replacement(address, error)
        else:
            connection = await self.connect(address)
        return await self._exchange(connection, address, message, method, first_byte_seconds)

    async def _replacement(self, address: Address, error: NoAnswerError) -> UpstreamConnection:
        """Connect anew; an upstream that is gone altogether may have died of the request, which was sent to it."""
        try:
            return await self.connect(address)
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

    def begin(
        self, connection: UpstreamConnection, message: bytes, listener: Listener, first_byte_seconds: float
    ) -> None:
        """Send a request by a connection of `idle` or `connect`; the listener gives it back with `release`.

        Raises:
            NoAnswerError: the connection is closed; it needs no `release`.
        """
        connection.begin(
            message, listener, head_only=message.startswith(b"HEAD "), first_byte_seconds=first_byte_seconds
        )
        self._busy.add(connection)

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
        return UpstreamResponse(connection, lambda used: self.release(used, address), self.stall_seconds)

    def release(self, connection: UpstreamConnection, address: Address) -> None:
        """Take a connection back: for the next request, or, when its answer has not ended, to be cut."""
        self._busy.discard(connection)
        if not connection.reusable or len(self._idle.get(address, ())) >= _MAX_IDLE_PER_HOST:
            connection.abort()
            return
        connection.rest()
        self._idle.setdefault(address, deque()).append(connection)

    def idle(self, address: Address) -> UpstreamConnection | None:
        """Take a connection that is open and has nothing to do, or None."""
        idle = self._idle.get(address)
        oldest = asyncio.get_running_loop().time() - self._max_idle_seconds
        while idle:
            connection = idle.pop()
            if not connection.closed and connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    async def connect(self, address: Address) -> UpstreamConnection:
        """Return a new connection.

        Raises:
            ConnectFailedError: there is none within the connect timeout.
        """
        if self._timer is None:
            self._tick()
        self._make_room()
        try:
            return await connected(UpstreamConnection, *address, self._connect_seconds)
        except TimeoutError:
            raise ConnectFailedError(f"no connection within {self._connect_seconds} s") from None
        except OSError as error:
            raise ConnectFailedError(f"no connection: {error.strerror or error}") from error

    def _make_room(self) -> None:
        """Close idle connections so that one more may be opened."""
        excess = len(self._busy) + sum(map(len, self._idle.values())) + 1 - self.max_open
        for idle in self._idle.values():
            while idle and excess > 0:
                idle.popleft().abort()
                excess -= 1

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._busy):
            connection.check_time(now)
        self._forget_idle(now - self._max_idle_seconds)
        self._timer = loop.call_later(_TICK_SECONDS, self._tick)

    def _forget_idle(self, oldest: float) -> None:
        """Close what nobody has used since `oldest`: upstreams come and go, and nobody says good-bye for all."""
        for address, idle in list(self._idle.items()):
            while idle and (idle[0].closed or idle[0].idle_since < oldest):
                idle.popleft().abort()
            if not idle:
                del self._idle[address]


def message_of(host: str, port: int, method: str, target: str, lines: bytes, body: bytes) -> bytes:
    """Return a request; `lines` are its headers with their line breaks, `host` and framing are added."""
    head = b"%bhost: %b\r\n%b" % (request_line(method, target), _authority(host, port), lines)
    if body or method in _WITH_BODY:
        return b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)
    return head + b"\r\n"


@lru_cache(maxsize=4096)
def _authority(host: str, port: int) -> bytes:
    return (f"[{host}]:{port}" if ":" in host else f"{host}:{port}").encode("latin-1")
