"""How a handler answers: at once with `send`, or piece by piece with `start`, `write`, `end`.

A handler that returned None goes on by callbacks: it uses the methods that end in `_now`, hears of the client through
`on_left` and `on_room`, and says `done` when it is through.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from autoglm_transport.http import BODILESS, Pair, encode_pairs, status_line

if TYPE_CHECKING:
    from autoglm_transport.connection import Connection

_CLOSE = b"connection: close\r\n"
_KEEP_ALIVE = b"connection: keep-alive\r\n"
_CHUNKED = b"transfer-encoding: chunked\r\n"


class Responder:
    """The answer to one request; framing headers (length, chunking, connection) are the server's business.

    Every method that sends raises ConnectionResetError once the client has gone; a handler's task is cancelled
    at that moment anyway.
    """

    __slots__ = (
        *("_bodiless", "_chunked", "_connection", "_disconnected", "_http10"),
        *("ended", "keep_alive", "on_left", "on_room", "started"),
    )

    def __init__(self, connection: "Connection", *, keep_alive: bool, head: bool, http10: bool) -> None:
        self._connection = connection
        self._bodiless = head
        self._http10 = http10
        self._chunked = False
        self._disconnected: asyncio.Event | None = None
        self.keep_alive = keep_alive
        self.started = False
        self.ended = False
        self.on_left: Callable[[], object] | None = None
        """Called once when the client leaves before the handler is done."""
        self.on_room: Callable[[], object] | None = None
        """Called when the client, having been `behind`, has caught up."""

    @property
    def peer(self) -> str:
        """The client's IP address; empty when it is unknown."""
        return self._connection.peer

    @property
    def local(self) -> str:
        """The address of ours that the client has connected to; empty when it is unknown."""
        return self._connection.local

    @property
    def disconnected(self) -> asyncio.Event:
        """Set when the client has closed its connection."""
        if self._disconnected is None:
            self._disconnected = asyncio.Event()
            if self._connection.lost:
                self._disconnected.set()
        return self._disconnected

    def client_left(self) -> None:
        """Called by the connection when it is lost."""
        if self._disconnected is not None:
            self._disconnected.set()
        on_left, self.on_left = self.on_left, None
        if on_left is not None:
            on_left()

    # --- for handlers that wait -------------------------------------------------------------------
    async def send(self, status: int, headers: Iterable[Pair] = (), body: bytes = b"") -> None:
        """Send a whole answer."""
        self.send_now(status, headers, body)
        if self._connection.write_blocked:
            await self._connection.writable()

    async def write(self, chunk: bytes) -> None:
        """Send a piece of the body; returns when the client's buffer has room again."""
        self.write_now(chunk)
        if self._connection.write_blocked:
            await self._connection.writable()

    async def end(self) -> None:
        """Finish the body."""
        self.end_now()

    # --- for all ----------------------------------------------------------------------------------
    @property
    def behind(self) -> bool:
        """Whether the client reads more slowly than it is sent to."""
        return self._connection.write_blocked

    def send_now(self, status: int, headers: Iterable[Pair] = (), body: bytes = b"") -> None:
        """Send a whole answer without waiting for the client to take it."""
        self.send_lines(status, encode_pairs(headers), body)

    def send_lines(self, status: int, lines: bytes, body: bytes) -> None:
        """Send a whole answer whose headers are encoded already, each line with its line break."""
        if status not in BODILESS:
            lines += b"content-length: %d\r\n" % len(body)
        head = self._head(status, lines)
        self.ended = True
        self._connection.write(head if self._bodiless else head + body)

    def start(self, status: int, headers: Iterable[Pair] = ()) -> None:
        """Send status and headers; a `content-length` among them frames the body, otherwise it is chunked."""
        pairs = list(headers)
        self.start_lines(status, encode_pairs(pairs), sized=any(name == "content-length" for name, _ in pairs))

    def start_lines(self, status: int, lines: bytes, *, sized: bool) -> None:
        """Do the same with headers that are encoded already."""
        if not sized and status not in BODILESS:
            lines += self._framing()
        self._connection.write(self._head(status, lines))

    def _framing(self) -> bytes:
        if self._http10:
            self.keep_alive = False
            return b""
        self._chunked = not self._bodiless
        return _CHUNKED

    def write_now(self, chunk: bytes) -> None:
        """Send a piece of the body without waiting for the client to take it."""
        if not chunk or self._bodiless:
            return
        self._connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)

    def end_now(self) -> None:
        """Finish the body."""
        if self._chunked:
            self._connection.write(b"0\r\n\r\n")
        self.ended = True

    def abort(self) -> None:
        """Close the connection at once, so that the client sees that the answer is not complete."""
        self.ended = True
        self.keep_alive = False
        self._connection.abort()

    def done(self) -> None:
        """Say that a handler which returned None is through with this request."""
        self.on_left = self.on_room = None
        self._connection.finished(self)

    def _head(self, status: int, lines: bytes) -> bytes:
        if self.started:
            raise RuntimeError("this request has been answered already")
        self._bodiless = self._bodiless or status in BODILESS
        self.keep_alive = self.keep_alive and self._connection.may_keep_alive()
        if not self.keep_alive:
            lines += _CLOSE
        elif self._http10:
            lines += _KEEP_ALIVE
        self.started = True
        return b"%b%b\r\n" % (status_line(status), lines)
