"""Answers in a Redis that gateways share: 5 ms per look-up at most, and queries go on without it when it fails.

One connection of the `redis` library. What is asked while replies are on their way goes out together afterwards, so a
look-up among many costs less than one alone. Who stops waiting leaves its place in the line: giving up after 5 ms,
which is an every-day event here, neither costs the connection nor moves the replies of others.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from redis.asyncio.connection import Connection, SSLConnection
from redis.exceptions import RedisError, ResponseError

from autoglm_gateway.cache.breaker import Breaker
from autoglm_gateway.cache.entry import Entry, read, written

log = logging.getLogger(__name__)

_DEADLINE_SECONDS: Final = 0.005
_CONNECT_SECONDS: Final = 2.0
# How long replies may take before the connection is given up; look-ups stop waiting long before.
_REPLY_SECONDS: Final = 1.0
_PORT: Final = 6379
_MAX_WAITING: Final = 1000
_MAX_WAITING_BYTES: Final = 1_048_576
_AT_ONCE: Final = 64
# The end of what is read of a value. Ours are smaller; of a larger one, which somebody else wrote, no more is fetched.
_LAST_BYTE: Final = 131_071
_FAILURES: Final = (TimeoutError, OSError, RedisError)

Word = bytes | str | int


@dataclass(frozen=True, slots=True)
class Target:
    """Which Redis, and as whom."""

    host: str
    port: int
    tls: bool
    database: int = 0
    user: str | None = None
    password: str | None = None


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
    password = unquote(parts.password) if parts.password else None
    user = unquote(parts.username) if parts.username and password else None
    return Target(parts.hostname, port, parts.scheme == "rediss", int(database or 0), user, password)


@dataclass(slots=True)
class _Command:
    """What is asked, how large it is, and where its reply goes; a cancelled reply is not wanted any more."""

    words: tuple[Word, ...]
    size: int
    reply: "asyncio.Future[bytes | None]"

    def answer(self, reply: bytes | Exception | None) -> None:
        """Hand out the reply, or what went wrong."""
        if self.reply.done():
            return
        if isinstance(reply, Exception):
            self.reply.set_exception(reply)
        else:
            self.reply.set_result(reply)


class RedisStore:
    """Look-ups never raise and never take longer than the deadline; `errors` counts what went wrong."""

    def __init__(self, target: Target, secret: bytes, prefix: str, *, deadline: float = _DEADLINE_SECONDS) -> None:
        self._target = target
        self._secret = secret
        self._prefix = prefix
        self._deadline = deadline
        self._breaker = Breaker()
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._line: list[_Command] = []
        self._line_bytes = 0
        self._talking: asyncio.Task[None] | None = None
        self.errors = 0

    @property
    def available(self) -> bool:
        """Whether there is a connection and the circuit breaker is closed."""
        return self._breaker.closed and self._connection is not None

    async def get(self, key: bytes, revision: str) -> Entry | None:
        """Return the answer that is kept under this key, or None, within the deadline."""
        connection = self._ready()
        if connection is None:
            return None
        try:
            async with asyncio.timeout(self._deadline):
                raw = await self._ask(connection, 0, "GETRANGE", self._name(key, revision), 0, _LAST_BYTE)
        except _FAILURES as error:
            self._failed(error)
            return None
        self._breaker.succeeded()
        return read(raw, key, self._secret) if raw else None

    def put(self, key: bytes, revision: str, entry: Entry, seconds: float) -> None:
        """Keep an answer for so many seconds; nobody waits for it."""
        connection = self._ready()
        if connection is None:
            return
        text = written(entry, key, self._secret)
        words = ("SET", self._name(key, revision), text, "PX", max(1, int(seconds * 1000)))
        try:
            stored = self._ask(connection, len(text), *words)
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
        busy = [task for task in (self._connecting, self._talking) if task is not None]
        for task in busy:
            task.cancel()
        if busy:
            await asyncio.wait(busy)
        if self._connection is not None:
            await self._connection.disconnect(nowait=True)
            self._connection = None

    def _ready(self) -> Connection | None:
        if not self._breaker.lets(asyncio.get_running_loop().time()):
            return None
        if self._connection is None:
            self.connect()
        return self._connection

    async def _connect(self) -> None:
        connection = _connection_to(self._target)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                await connection.connect()  # type: ignore[no-untyped-call]
                # The kernel of a server that hangs accepts connections: only an answer closes the circuit breaker.
                await connection.send_command("PING")
                await connection.read_response()
            self._connection = connection
            self._breaker.succeeded()
        except _FAILURES as error:
            self._failed(error)
        finally:
            self._connecting = None
            if self._connection is not connection:
                await connection.disconnect(nowait=True)

    # --- the conversation -------------------------------------------------------------------------
    def _ask(self, connection: Connection, size: int, *words: Word) -> "asyncio.Future[bytes | None]":
        """Put a command into the line; the future has its reply. Raises OSError when the line is full."""
        if len(self._line) >= _MAX_WAITING or self._line_bytes + size > _MAX_WAITING_BYTES:
            raise BlockingIOError("Redis does not keep up")
        command = _Command(words, size, asyncio.get_running_loop().create_future())
        self._line.append(command)
        self._line_bytes += size
        if self._talking is None:
            self._talking = asyncio.create_task(self._talk(connection))
        return command.reply

    async def _talk(self, connection: Connection) -> None:
        """Send what is in the line and hand out the replies, until nothing is left or the connection is no good."""
        said: list[_Command] = []
        failure: Exception = ConnectionAbortedError("closed")
        try:
            while said := self._next():
                async with asyncio.timeout(_REPLY_SECONDS):
                    await _exchange(connection, said)
        except _FAILURES as error:
            failure = error
        finally:
            self._talking = None
            if said:  # also when this task was cancelled: replies that are on their way are nobody's
                self._lost(said, failure)
                await connection.disconnect(nowait=True)

    def _next(self) -> list[_Command]:
        """Take from the line what goes out together, without what nobody waits for any more."""
        taken, self._line = self._line[:_AT_ONCE], self._line[_AT_ONCE:]
        self._line_bytes -= sum(command.size for command in taken)
        wanted = [command for command in taken if not command.reply.done()]
        return wanted if wanted or not self._line else self._next()

    def _lost(self, said: list[_Command], failure: Exception) -> None:
        self._connection = None
        for command in (*said, *self._line):
            command.answer(failure)
        self._line.clear()
        self._line_bytes = 0

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        was_closed = self._breaker.closed
        self._breaker.failed(asyncio.get_running_loop().time())
        if was_closed and not self._breaker.closed:
            # Not the text: a server's error may quote what we sent.
            log.warning("Redis is left alone for a while: %s", type(error).__name__)

    def _stored(self, stored: "asyncio.Future[bytes | None]") -> None:
        if not stored.cancelled() and stored.exception() is not None:
            self.errors += 1  # full or read-only: what is there can still be read

    def _name(self, key: bytes, revision: str) -> str:
        return f"{self._prefix}{revision}:{key.hex()}"


def _connection_to(target: Target) -> Connection:
    """Return a connection that is not open yet; timeouts are ours, because the library's cost a timer per command."""
    kind = SSLConnection if target.tls else Connection
    return kind(
        host=target.host,
        port=target.port,
        db=target.database,
        username=target.user,
        password=target.password,
        protocol=2,
        socket_timeout=None,
        driver_info=None,
    )


async def _exchange(connection: Connection, said: Sequence[_Command]) -> None:
    """Send commands and hand out their replies; raises when the connection is of no use any more."""
    packed = connection.pack_commands([command.words for command in said])
    await connection.send_packed_command(packed, check_health=False)
    for command in said:
        try:
            command.answer(await connection.read_response(disable_decoding=True))
        except ResponseError as refused:  # of this command alone
            command.answer(refused)
