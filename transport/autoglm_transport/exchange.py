"""One keep-alive connection to an upstream, which reads one answer at a time."""

import asyncio
from collections import deque
from typing import Any, Final, Protocol, cast

import httptools

from autoglm_transport.errors import BrokenAnswerError, FirstByteTimeoutError, NoAnswerError, UpstreamError
from autoglm_transport.http import BODILESS, Headers

MAX_BUFFERED_BYTES: Final = 262_144
MAX_ANSWER_HEADER_BYTES: Final = 65_536
_INFORMATIONAL: Final = range(100, 200)


class Listener(Protocol):
    """Who hears of an answer by callback, instead of waiting for it."""

    def moved(self) -> None:
        """More of the answer is here, or its end, or the error that it ends with."""


class UpstreamConnection(asyncio.Protocol):
    """Sends one request at a time and collects its answer; reading pauses while nobody takes the body."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._asked = False
        self._waiter: asyncio.Future[None] | None = None
        self._listener: Listener | None = None
        self._paused = False
        self.closed = False
        self.idle_since = 0.0
        self._begin(head_only=False)

    def _begin(self, *, head_only: bool) -> None:
        self._head_only = head_only
        self._pairs: list[tuple[bytes, bytes]] = []
        self._header_bytes = 0
        self._sized = False
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self.error: UpstreamError | None = None
        self._reusable = False
        self.got_bytes = False
        self.status = 0
        self.complete = False
        self.silence_until: float | None = None

    # --- asyncio.Protocol -------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse a piece of the answer."""
        if not self._asked:
            self.abort()
            return
        self.got_bytes = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(BrokenAnswerError(f"malformed answer: {error}"))
            self.abort()
        if self._listener is not None:  # which takes everything at once
            self._listener.moved()
            return
        if self._buffered > MAX_BUFFERED_BYTES and not self.complete and self._transport is not None:
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """End or break the answer."""
        self.closed = True
        if self.complete or not self._asked:
            return
        if self.status and not self._sized and exc is None and self.error is None:
            self.complete = True  # RFC 9112 section 6.3: a body without a length ends with the connection
        elif self.got_bytes:
            self._fail(BrokenAnswerError("the upstream closed the connection in the middle of its answer"))
        else:
            self._fail(NoAnswerError("the upstream closed the connection without an answer"))
        self._wake()

    # --- callbacks of httptools -------------------------------------------------------------------
    def on_message_begin(self) -> None:
        """A message starts; a second one on top of a finished answer is nobody's."""
        if self.complete:
            raise BrokenAnswerError("the upstream sent more than its answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header of the answer (trailers are dropped)."""
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_ANSWER_HEADER_BYTES:
            raise BrokenAnswerError("the answer's headers are too large")
        if self.status:
            return
        name = name.lower()
        self._sized = self._sized or name in {b"content-length", b"transfer-encoding"}
        self._pairs.append((name, value))

    def on_headers_complete(self) -> None:
        """Status and headers are here."""
        status = self._parser.get_status_code()
        if status in _INFORMATIONAL:
            self._pairs = []
            return
        self.status = status
        if self._head_only or status in BODILESS:
            self._sized = True
            self._complete(reusable=status in BODILESS and not self._head_only)

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._chunks.append(piece)
        self._buffered += len(piece)

    def on_message_complete(self) -> None:
        """The answer is complete."""
        if self.status and not self.complete:
            self._complete(reusable=self._parser.should_keep_alive())

    def _complete(self, *, reusable: bool) -> None:
        self.complete = True
        self._reusable = reusable
        self.silence_until = None

    # --- one exchange -----------------------------------------------------------------------------
    async def exchange(self, message: bytes, *, head_only: bool, first_byte_seconds: float | None) -> None:
        """Send a request and return when status and headers of its answer are here.

        Raises:
            NoAnswerError: the connection broke or time ran out before the first byte.
            BrokenAnswerError: what came is no answer.
        """
        self._send(message, head_only=head_only, first_byte_seconds=first_byte_seconds)
        while not self.status and self.error is None:
            await self._news()
        if self.error is not None:
            raise self.error

    def begin(self, message: bytes, listener: Listener, *, head_only: bool, first_byte_seconds: float) -> None:
        """Send a request; the listener hears of the answer until `leave`.

        Raises:
            NoAnswerError: the connection is closed.
        """
        self._send(message, head_only=head_only, first_byte_seconds=first_byte_seconds)
        self._listener = listener

    def _send(self, message: bytes, *, head_only: bool, first_byte_seconds: float | None) -> None:
        # One that has read a whole answer reads the next one; that of a HEAD waits for a body for ever.
        if self._parser is None or head_only or self._head_only:
            self._parser = httptools.HttpResponseParser(self)
        self._begin(head_only=head_only)
        self._asked = True
        self.allow_silence(first_byte_seconds)
        if self.closed or self._transport is None:
            raise NoAnswerError("the connection was closed before the request was sent")
        self._transport.write(message)

    def leave(self) -> None:
        """Tell the listener nothing more."""
        self._listener = None
        self.resume()

    def pause(self) -> None:
        """Read no more of the answer for now: the listener cannot pass it on."""
        if not self._paused and self._transport is not None and not self.closed:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read on."""
        if self._paused:
            self._paused = False
            self._resume_reading()

    def allow_silence(self, seconds: float | None) -> None:
        """Let the upstream be silent for so long from now on; None means for ever."""
        self.silence_until = None if seconds is None else self._loop.time() + seconds

    def check_time(self, now: float) -> None:
        """Break off when the upstream has been silent for too long; called by the pool's coarse timer."""
        if self.silence_until is None or now < self.silence_until or self.complete or self._chunks or self._paused:
            return
        late = FirstByteTimeoutError if not self.status else BrokenAnswerError
        self._fail(late("the upstream was silent for too long"))
        self.abort()
        self._wake()

    @property
    def headers(self) -> Headers:
        """Headers of the answer."""
        return Headers(self._pairs)

    @property
    def stale(self) -> bool:
        """Whether the upstream had closed the connection by itself, without a byte for this request."""
        return not self.got_bytes and not isinstance(self.error, FirstByteTimeoutError)

    @property
    def reusable(self) -> bool:
        """Whether another request may follow on this connection."""
        return self.complete and self._reusable and not self.closed and not self._chunks

    async def next_chunk(self) -> bytes | None:
        """Return the next piece of the body, None at its end.

        Raises:
            BrokenAnswerError: the body did not end as announced.
        """
        while not self._chunks:
            if self.error is not None:
                raise self.error
            if self.complete:
                return None
            self._resume_reading()
            await self._news()
        chunk = self._chunks.popleft()
        self._buffered -= len(chunk)
        return chunk

    def take_all(self) -> bytes:
        """Return everything that has come and was not taken."""
        taken = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        return taken

    def rest(self) -> None:
        """Forget the finished exchange and wait for the next one."""
        self._asked = False
        self.silence_until = None
        self.idle_since = self._loop.time()

    def abort(self) -> None:
        """Close at once, so that the upstream sees that nobody listens any more."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def _resume_reading(self) -> None:
        if self._transport is not None and not self.closed and not self._transport.is_reading():
            self._transport.resume_reading()

    async def _news(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _fail(self, error: UpstreamError) -> None:
        if self.error is None:
            self.error = error

    def _wake(self) -> None:
        if self._listener is not None:
            self._listener.moved()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
