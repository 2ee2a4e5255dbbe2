"""How a handler answers: at once with `send`, or piece by piece with `start`, `write`, `end`."""

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from autoglm_transport.http import BODILESS, Pair, encode_head, status_line

if TYPE_CHECKING:
    from autoglm_transport.connection import Connection


class Responder:
    """The answer to one request; framing headers (length, chunking, connection) are the server's business.

    Every method that sends raises ConnectionResetError once the client has gone; the handler's task is cancelled
    at that moment anyway.
    """

    __slots__ = ("_bodiless", "_chunked", "_connection", "_disconnected", "_http10", "ended", "keep_alive", "started")

    def __init__(self, connection: "Connection", *, keep_alive: bool, head: bool, http10: bool) -> None:
        self._connection = connection
        self._bodiless = head
        self._http10 = http10
        self._chunked = False
        self._disconnected: asyncio.Event | None = None
        self.keep_alive = keep_alive
        self.started = False
        self.ended = False

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

    async def send(self, status: int, headers: Iterable[Pair] = (), body: bytes = b"") -> None:
        """Send a whole answer."""
        pairs = list(headers)
        if status not in BODILESS:
            pairs.append(("content-length", str(len(body))))
        head = self._head(status, pairs)
        self.ended = True
        self._connection.write(head if self._bodiless else head + body)
        if self._connection.write_blocked:
            await self._connection.writable()

    def start(self, status: int, headers: Iterable[Pair] = ()) -> None:
        """Send status and headers; a `content-length` among them frames the body, otherwise it is chunked."""
        pairs = list(headers)
        sized = any(name == "content-length" for name, _ in pairs)
        if not sized and status not in BODILESS:
            self._frame_unsized(pairs)
        self._connection.write(self._head(status, pairs))

    def _frame_unsized(self, pairs: list[Pair]) -> None:
        if self._http10:
            self.keep_alive = False
            return
        self._chunked = not self._bodiless
        pairs.append(("transfer-encoding", "chunked"))

    async def write(self, chunk: bytes) -> None:
        """Send a piece of the body; returns when the client's buffer has room again."""
        if not chunk or self._bodiless:
            return
        self._connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)
        if self._connection.write_blocked:
            await self._connection.writable()

    async def end(self) -> None:
        """Finish the body."""
        if self._chunked:
            self._connection.write(b"0\r\n\r\n")
        self.ended = True

    def abort(self) -> None:
        """Close the connection at once, so that the client sees that the answer is not complete."""
        self.ended = True
        self.keep_alive = False
        self._connection.abort()

    def _head(self, status: int, pairs: list[Pair]) -> bytes:
        if self.started:
            raise RuntimeError("this request has been answered already")
        self._bodiless = self._bodiless or status in BODILESS
        self.keep_alive = self.keep_alive and self._connection.may_keep_alive()
        if not self.keep_alive:
            pairs.append(("connection", "close"))
        elif self._http10:
            pairs.append(("connection", "keep-alive"))
        head = encode_head(status_line(status), pairs)
        self.started = True
        return head
