"""Answers in a Redis that gateways share: 5 ms per look-up at most, and queries go on without it when it fails.

Own code instead of a client library: four commands on one connection, where giving up a look-up after 5 ms, which is
an every-day event here, must neither cost the connection nor move the replies of others.
"""

import asyncio
import logging
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Final, cast
from urllib.parse import unquote, urlsplit

from autoglm_gateway.cache.breaker import Breaker
from autoglm_gateway.cache.entry import Entry, read, written
from autoglm_gateway.cache.resp import Parser, ProtocolError, Reply, ReplyError, command

log = logging.getLogger(__name__)

_DEADLINE_SECONDS: Final = 0.005
_CONNECT_SECONDS: Final = 2.0
_PORT: Final = 6379
_MAX_PENDING: Final = 1000
_MAX_UNSENT_BYTES: Final = 1_048_576
_FAILURES: Final = (TimeoutError, OSError, ReplyError, ProtocolError)


@dataclass(frozen=True, slots=True)
class Target:
    """Which Redis; `words` are the commands of a new connection."""

    host: str
    port: int
    tls: bool
    words: tuple[tuple[str, ...], ...]


def target_of(url: str) -> Target:
    """Parse redis://[USER:PASSWORD@]HOST[:PORT][/DB] or rediss://...; raises ValueError that does not quote it."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port or _PORT
    except ValueError:
        raise ValueError("the Redis URL cannot be read") from None
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
        raise ValueError("the Redis URL must be redis://HOST:PORT or rediss://HOST:PORT")
    database = parts.path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        raise ValueError("the path of the Redis URL must be the number of a database")
    who = [unquote(word) for word in (parts.username, parts.password) if word]
    words = [("AUTH", *who)] if parts.password else []
    words += [("SELECT", database)] if database else []
    return Target(parts.hostname, port, parts.scheme == "rediss", tuple(words))


class _Connection(asyncio.Protocol):
    """Commands and replies in order. Who stops waiting leaves its place in the line, so replies never move up."""

    def __init__(self) -> None:
        self._parser = Parser()
        self._pending: deque[asyncio.Future[bytes | None]] = deque()
        self._transport: asyncio.Transport | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand out replies; after one that cannot be read nothing on this connection is trusted."""
        try:
            for reply in self._parser.feed(data):
                self._reply(reply)
        except ProtocolError as error:
            self.close(error)

    def _reply(self, reply: Reply) -> None:
        if not self._pending:
            raise ProtocolError("a reply without a command")
        _answer(self._pending.popleft(), reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail whoever waits."""
        self.close(exc or ConnectionResetError("Redis closed the connection"))

    def ask(self, *words: bytes | str | int) -> "asyncio.Future[bytes | None]":
        """Send a command; the future has its reply. Raises OSError when the connection is lost or overloaded."""
        if self._transport is None or self.lost:
            raise ConnectionResetError("no connection to Redis")
        if len(self._pending) >= _MAX_PENDING or self._transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
            self.close(ConnectionAbortedError("Redis does not keep up"))
            raise ConnectionAbortedError("Redis does not keep up")
        future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        future.add_done_callback(_look_at)
        self._pending.append(future)
        self._transport.write(command(*words))
        return future

    def close(self, error: Exception) -> None:
        """Close, and fail whoever waits."""
        self.lost = True
        if self._transport is not None:
            self._transport.abort()
        while self._pending:
            _answer(self._pending.popleft(), error)


class RedisStore:
    """Look-ups never raise and never take longer than the deadline; `errors` counts what went wrong."""

    def __init__(self, target: Target, secret: bytes, prefix: str, *, deadline: float = _DEADLINE_SECONDS) -> None:
        self._target = target
        self._secret = secret
        self._prefix = prefix
        self._deadline = deadline
        self._breaker = Breaker()
        self._connection: _Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self.errors = 0

    @property
    def available(self) -> bool:
        """Whether there is a connection and the circuit breaker is closed."""
        return self._breaker.closed and self._connection is not None and not self._connection.lost

    async def get(self, key: bytes, revision: str) -> Entry | None:
        """Return the answer that is kept under this key, or None, within the deadline."""
        connection = self._ready()
        if connection is None:
            return None
        try:
            async with asyncio.timeout(self._deadline):
                raw = await connection.ask("GET", self._name(key, revision))
        except _FAILURES as error:
            self._failed(error)
            return None
        self._breaker.succeeded()
        return None if raw is None else read(raw, key, self._secret)

    def put(self, key: bytes, revision: str, entry: Entry, seconds: float) -> None:
        """Keep an answer for so many seconds; nobody waits for it."""
        connection = self._ready()
        if connection is None:
            return
        text = written(entry, key, self._secret)
        try:
            stored = connection.ask("SET", self._name(key, revision), text, "PX", max(1, int(seconds * 1000)))
        except OSError as error:
            self._failed(error)
            return
        stored.add_done_callback(self._stored)

    def connect(self) -> None:
        """Begin to connect, if nobody does."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect())

    async def close(self) -> None:
        """Close the connection."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._connection is not None:
            self._connection.close(ConnectionAbortedError("closed"))

    def _ready(self) -> _Connection | None:
        if not self._breaker.lets(asyncio.get_running_loop().time()):
            return None
        if self._connection is None or self._connection.lost:
            self.connect()
            return None
        return self._connection

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                self._connection = await _connected(self._target)
            self._breaker.succeeded()
        except _FAILURES as error:
            self._failed(error)
        finally:
            self._connecting = None

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        was_closed = self._breaker.closed
        self._breaker.failed(asyncio.get_running_loop().time())
        if was_closed and not self._breaker.closed:
            log.warning("Redis is left alone for a while: %s %s", type(error).__name__, error)

    def _stored(self, stored: "asyncio.Future[bytes | None]") -> None:
        if not stored.cancelled() and stored.exception() is not None:
            self.errors += 1  # full or read-only: what is there can still be read

    def _name(self, key: bytes, revision: str) -> str:
        return f"{self._prefix}{revision}:{key.hex()}"


async def _connected(target: Target) -> _Connection:
    """Return a connection that was let in and is in its database; nobody else may use it before."""
    secure = ssl.create_default_context() if target.tls else None
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(_Connection, target.host, target.port, ssl=secure)
    try:
        for words in target.words:
            await connection.ask(*words)
    except BaseException as error:
        connection.close(ConnectionAbortedError(f"not let in: {error}"))
        raise
    return connection


def _answer(future: "asyncio.Future[bytes | None]", reply: Reply) -> None:
    if future.done():
        return
    if isinstance(reply, Exception):
        future.set_exception(reply)
    else:
        future.set_result(reply)


def _look_at(future: "asyncio.Future[bytes | None]") -> None:
    """Look at an exception that nobody may wait for, or asyncio would log it."""
    if not future.cancelled():
        future.exception()
