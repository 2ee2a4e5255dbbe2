"""One client connection: requests in, one handler at a time, timeouts, back-pressure."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Final, cast

from autoglm_transport.heads import Incoming
from autoglm_transport.http import Request, encode_pairs, status_line
from autoglm_transport.limits import Limits
from autoglm_transport.reading import Phase, RefusedError, RequestReader
from autoglm_transport.responder import Responder

if TYPE_CHECKING:
    from autoglm_transport.server import HttpServer

log = logging.getLogger(__name__)

# Bytes of later requests that are kept unread while one is in flight. The socket has to be read meanwhile,
# because a client's leaving shows only there.
MAX_PENDING_BYTES: Final = 65536
# How long a refused client may go on sending before the connection is cut; closing at once would send a reset
# that can overtake the answer.
LINGER_SECONDS: Final = 2.0
# How long a connection that could not be told of its end stays open once the server stops: a request that its client
# sends in the same moment is answered, not reset.
UNTOLD_SECONDS: Final = 1.0


class Connection(asyncio.Protocol):
    """Serves one connection for its server."""

    def __init__(self, server: "HttpServer") -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader(server.limits, server.heads)
        self._transport: asyncio.Transport | None = None
        self._task: asyncio.Task[None] | None = None
        self._responder: Responder | None = None  # of the request that is being answered
        self._size = 0  # of that request's body
        self._through = False  # its handler is, and the client has not read all yet
        self._taking = False  # requests off the reader
        self._ended = False  # no further request is served
        self._pending = bytearray()
        self._refusal: RefusedError | None = None
        self._lingering = False
        self._served = False
        self._since = self._loop.time()
        self._room: asyncio.Future[None] | None = None
        self.write_blocked = False
        self.lost = False

    # --- asyncio.Protocol -------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection, or turn it away when there are too many."""
        self._transport = cast("asyncio.Transport", transport)
        if not self._server.opened(self):
            self._refuse(RefusedError(503, "too many connections"))

    def data_received(self, data: bytes) -> None:
        """Read requests; while one is in flight, only keep what comes."""
        if self._lingering or self._refusal is not None:
            return
        if self._responder is None:
            self._feed(data)
            self._next()
            return
        self._pending += data
        if len(self._pending) > MAX_PENDING_BYTES and self._transport is not None:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Treat a half-closed connection as closed: a client that waits for an answer keeps its side open."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the handler: nobody waits for its answer."""
        del exc
        self.lost = True
        self.resume_writing()
        if self._responder is not None:
            self._responder.client_left()
        if self._task is not None:
            self._task.cancel()
        self._server.closed(self)

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self.write_blocked = True
        self._since = self._loop.time()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.write_blocked = False
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        responder = self._responder
        if responder is None:
            return
        if self._through:
            self.finished(responder)
        elif responder.on_room is not None:
            responder.on_room()

    # --- for the responder ------------------------------------------------------------------------
    def write(self, data: bytes) -> None:
        """Send bytes; raises ConnectionResetError when the client has gone."""
        if self.lost or self._transport is None:
            raise ConnectionResetError("the client has closed the connection")
        self._transport.write(data)

    async def writable(self) -> None:
        """Return when the client has read enough of what was sent."""
        while self.write_blocked and not self.lost:
            self._room = self._loop.create_future()
            await self._room

    def may_keep_alive(self) -> bool:
        """Whether another request may follow on this connection."""
        return self._server.keeps_alive and self._refusal is None

    def abort(self) -> None:
        """Close at once; unsent bytes are lost."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    @property
    def peer(self) -> str:
        """The client's IP address; empty when it is unknown."""
        return self._address("peername")

    @property
    def local(self) -> str:
        """The address of ours that the client has connected to; empty when it is unknown."""
        return self._address("sockname")

    def _address(self, side: str) -> str:
        address = None if self._transport is None else self._transport.get_extra_info(side)
        # A socket of both families shows an IPv4 address as one of IPv6 (RFC 4291 section 2.5.5.2).
        return str(address[0]).removeprefix("::ffff:") if address else ""

    # --- for the server ---------------------------------------------------------------------------
    @property
    def is_idle(self) -> bool:
        """Whether no request is being read or answered."""
        return self._responder is None and self._reader.phase is Phase.BETWEEN and not self._lingering

    def is_settled(self, now: float) -> bool:
        """Whether cutting the connection loses nothing: idle for a while, with all that was written sent."""
        if not self.is_idle:
            return False
        if self._is_closing:
            return self._transport is None or self._transport.get_write_buffer_size() == 0
        return now - self._since >= UNTOLD_SECONDS

    def close(self) -> None:
        """Close after what is written has been sent."""
        self._ended = True
        if self._transport is not None:
            self._transport.close()

    def check_time(self, now: float) -> None:
        """Give up on a client that takes too long; called by the server's coarse timer."""
        waited = now - self._since
        limits = self._server.limits
        if self._responder is not None:
            if self.write_blocked and waited > limits.write_timeout_seconds:
                self.abort()
        elif self._is_closing and not self._lingering:
            if waited > limits.write_timeout_seconds:  # the client does not read the end of its answer
                self.abort()
        elif self._lingering:
            if waited > LINGER_SECONDS:
                self.abort()
        elif self._reader.phase is Phase.BETWEEN:
            if waited >= self._idle_seconds(limits):
                self.close()
        else:
            self._check_reading(waited)

    def _idle_seconds(self, limits: Limits) -> float:
        if not self._server.accepts:
            return UNTOLD_SECONDS
        return limits.idle_timeout_seconds if self._served else limits.header_timeout_seconds

    @property
    def _is_closing(self) -> bool:
        return self._transport is not None and self._transport.is_closing()

    def _check_reading(self, waited: float) -> None:
        limits = self._server.limits
        in_head = self._reader.phase is Phase.HEAD
        if waited > (limits.header_timeout_seconds if in_head else limits.body_timeout_seconds):
            self._refuse(RefusedError(408, "the request took too long to arrive"))

    # --- the cycle --------------------------------------------------------------------------------
    def _feed(self, data: bytes) -> None:
        before = self._reader.phase
        try:
            self._reader.feed(data)
        except RefusedError as refusal:
            self._refusal = refusal
        if self._reader.phase is not before:
            self._since = self._loop.time()

    def _next(self) -> None:
        """Answer what is complete, one request at a time; no recursion, however many come at once."""
        if self._taking:
            return
        self._taking = True
        while self._takes_more():
            pass
        self._taking = False

    def _takes_more(self) -> bool:
        """Take one step; False when nothing can be done before something else happens."""
        if self._responder is not None or self.lost or self._ended:
            return False
        if self._reader.complete:
            self._dispatch(self._reader.complete.popleft())
        elif self._refusal is not None:
            self._refuse(self._refusal)
            return False
        elif self._pending:
            data = bytes(self._pending)
            self._pending.clear()
            self._resume_reading()
            self._feed(data)
        else:
            self._let_continue()
            return False
        return True

    def _let_continue(self) -> None:
        if self._reader.expects_continue and self._reader.phase is Phase.BODY:
            self._reader.expects_continue = False
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _dispatch(self, incoming: Incoming) -> None:
        self._served = True
        request = incoming.request
        responder = Responder(
            self, keep_alive=incoming.keep_alive, head=request.method == "HEAD", http10=incoming.http10
        )
        self._responder = responder
        self._size = len(request.body)
        self._server.begun(self._size)
        try:
            answering = self._server.answer(request, responder)
        except ConnectionError:
            responder.abort()
            self.finished(responder)
        except Exception:  # a handler's bug costs one query, not the server
            log.exception("handler failed on %s %s", request.method, request.path)
            self._answer_bug(responder)
            self.finished(responder)
        else:
            if answering is not None:
                self._task = self._loop.create_task(self._serve(answering, request, responder))
                # Not in the task itself: one that is cancelled before its first step never gets there.
                self._task.add_done_callback(lambda _: self._served_by(answering, responder))

    def _served_by(self, answering: Awaitable[None], responder: Responder) -> None:
        if asyncio.iscoroutine(answering):
            answering.close()  # which had not begun, when the task had not
        self.finished(responder)

    async def _serve(self, answering: Awaitable[None], request: Request, responder: Responder) -> None:
        try:
            await answering
            if not responder.ended:
                raise RuntimeError("the handler ended without ending its answer")  # noqa: TRY301 - one exit for bugs
        except asyncio.CancelledError:
            responder.abort()
        except ConnectionError:
            responder.abort()
        except Exception:  # a handler's bug costs one query, not the server
            log.exception("handler failed on %s %s", request.method, request.path)
            self._answer_bug(responder)

    def _answer_bug(self, responder: Responder) -> None:
        if responder.started or self.lost:
            responder.abort()
            return
        body = self._server.refusal_body(500, "internal error", "")
        responder.send_now(500, [("content-type", "application/json")], body)

    def finished(self, responder: Responder) -> None:
        """Go on with the next request; once the client has read the answer, if it is slow."""
        if responder is not self._responder:
            return
        if self.write_blocked and not self.lost:
            self._through = True
            return
        self._through = False
        self._task = None
        self._responder = None
        self._since = self._loop.time()
        size = self._size
        if not responder.keep_alive:
            self.close()
        self._next()
        self._server.ended(size)

    def _resume_reading(self) -> None:
        if self._transport is not None and not self._transport.is_reading() and not self._transport.is_closing():
            self._transport.resume_reading()

    def _refuse(self, refusal: RefusedError) -> None:
        """Answer and close, reading on for a moment so that the client can see the answer."""
        if self._transport is None or self._transport.is_closing():
            return
        self._refusal = refusal
        self._lingering = True
        self._since = self._loop.time()
        body = self._server.refusal_body(refusal.status, refusal.message, refusal.path)
        pairs = [
            ("content-type", "application/json"),
            ("content-length", str(len(body))),
            ("connection", "close"),
        ]
        self.write(b"%b%b\r\n%b" % (status_line(refusal.status), encode_pairs(pairs), body))
        self._pending.clear()
        self._resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
