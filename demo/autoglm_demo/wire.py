"""A small HTTP/1.1 client for load: keep-alive connections, one exchange at a time on each, answers read whole.

It is kept apart from the product's own transport on purpose: a fault there must not hide itself here.
"""

import asyncio
from dataclasses import dataclass, field

import httptools


class LostAnswerError(ConnectionError):
    """The connection ended before the whole answer was there."""


@dataclass(slots=True)
class Answer:
    """One whole answer; times are those of the event loop's clock."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    first_byte: float = 0.0
    done: float = 0.0


class _Connection(asyncio.Protocol):
    """One connection; `httptools` calls the `on_*` methods."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._finished: asyncio.Future[Answer] | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer = Answer()
        self._chunks: list[bytes] = []

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    async def exchange(self, request: bytes) -> Answer:
        """Send one request and wait for its whole answer; raises LostAnswerError."""
        if not self.usable or self._transport is None:
            raise LostAnswerError("the connection was closed")
        self._parser, self._answer, self._chunks = httptools.HttpResponseParser(self), Answer(), []
        self._finished = self._loop.create_future()
        self._transport.write(request)
        try:
            return await self._finished
        except asyncio.CancelledError:
            self.close()
            raise

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if not isinstance(transport, asyncio.Transport):
            raise TypeError("a stream transport is needed")
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._answer.first_byte:
            self._answer.first_byte = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(f"not HTTP: {error}")
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        after = "in the middle of" if self._answer.first_byte else "before"
        self._fail(f"the connection ended {after} the answer{f': {exc}' if exc else ''}")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        self._answer.body = b"".join(self._chunks)
        self._answer.done = self._loop.time()
        if not self._parser.should_keep_alive():
            self.close()
        if self._finished and not self._finished.done():
            self._finished.set_result(self._answer)

    def _fail(self, why: str) -> None:
        if self._finished and not self._finished.done():
            self._finished.set_exception(LostAnswerError(why))


class Wire:
    """Keep-alive connections to one address."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._idle: list[_Connection] = []
        self._open: set[_Connection] = set()

    async def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        """Post JSON and return the whole answer.

        Raises:
            OSError: no connection, or LostAnswerError: it ended too early. Nothing is sent twice.
        """
        connection = await self._connection()
        answer = await connection.exchange(self._request(path, body, headers or {}))
        if connection.usable:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close every connection."""
        for connection in self._open:
            connection.close()
        self._open.clear()
        self._idle.clear()

    async def _connection(self) -> _Connection:
        while self._idle:
            if (connection := self._idle.pop()).usable:
                return connection
        self._open = {connection for connection in self._open if connection.usable}
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self.host, self.port)
        self._open.add(connection)
        return connection

    def _request(self, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        lines = (
            f"POST {path} HTTP/1.1",
            f"Host: {self.host}:{self.port}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            *(f"{name}: {value}" for name, value in headers.items()),
        )
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body
