"""One query at one replica: the answer goes to the client as it comes, by callbacks; nothing waits.

| what happens                                   | the attempt ends with                               |
|------------------------------------------------|-----------------------------------------------------|
| an answer, whole or as a stream to its end      | its status                                          |
| a stream that breaks off                       | "broken", and an error event for the client         |
| the client leaves                              | "499", and the replica's connection is cut          |
| the replica is draining or full                | SentBackError                                       |
| its engine failed before the first token       | EngineFailedError; the last attempt's 503 is passed on |
| the connection breaks before the first byte    | NoAnswerError                                       |
| an idle connection was closed in that moment   | StaleError: nothing is known of the replica         |
| no first byte in time, or no HTTP              | RefusalError 504, 502                               |
"""

import asyncio
import logging
from typing import Final, Protocol

from autoglm_api import names
from autoglm_gateway.balance import Replica
from autoglm_gateway.metrics import Metrics
from autoglm_gateway.passing import passed_back, told_to_client, told_to_replica
from autoglm_gateway.query import Query
from autoglm_gateway.refusal import RefusalError, error_event
from autoglm_gateway.tokens import answered_tokens, events_in, streamed_tokens
from autoglm_transport.client import UpstreamPool, message_of
from autoglm_transport.errors import BrokenAnswerError, FirstByteTimeoutError, NoAnswerError, UpstreamError
from autoglm_transport.exchange import UpstreamConnection
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder

log = logging.getLogger(__name__)

# A replica that drains soon leaves the endpoints; one that is full has room in a moment.
_DRAINING_SECONDS: Final = 5.0
_FULL_SECONDS: Final = 0.1
_GRACE_SECONDS: Final = 1.0  # the replica keeps the deadline itself; the gateway only if it does not
_UNAVAILABLE: Final = 503
_FIRST_ERROR: Final = 400
_FIRST_SERVER_ERROR: Final = 500
_TOO_MANY: Final = 429
LEFT: Final = "499"

Outcome = str | Exception


class SentBackError(Exception):
    """The replica did not take the query; nothing of an answer has come. The text is the reason for the metrics."""


class EngineFailedError(Exception):
    """The replica took the query and its engine failed before the first token."""


class StaleError(Exception):
    """The replica had closed the idle connection by itself."""


class UnconnectedError(Exception):
    """No connection to the replica was open; nothing was sent."""


class Ended(Protocol):
    """Hears of the end of an attempt, once."""

    def __call__(self, attempt: "Attempt", outcome: Outcome, /) -> None:
        """Take in how it ended."""


class Attempt:
    """Begins with `begin`; `ended` is called once, possibly before `begin` returns."""

    __slots__ = (
        *("_connection", "_ended", "_events", "_loop", "_metrics", "_reused", "_stall_seconds", "_upstreams", "_whole"),
        *("last", "query", "replica", "request", "responder"),
    )

    def __init__(
        self,
        upstreams: UpstreamPool,
        metrics: Metrics,
        query: Query,
        replica: Replica,
        request: Request,
        responder: Responder,
        ended: Ended,
    ) -> None:
        self._upstreams = upstreams
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._connection: UpstreamConnection | None = None
        self._ended: Ended | None = ended
        self._events = -1  # of the stream so far; -1: no stream
        self._whole = False
        self.last = False  # nothing else is tried after it
        self.query = query
        self.replica = replica
        self.request = request
        self.responder = responder

    def begin(self, connection: UpstreamConnection, now: float, *, reused: bool) -> None:
        """Send the query; `reused` says that the connection was idle until now."""
        self._reused = reused
        query, replica, need = self.query, self.replica, self.query.need
        query.replica = replica.address
        left = query.answer_until - now
        told = told_to_replica(query.trace, query.query_class, left, need.wish.tier, need.output_tokens)
        host, port = replica.address
        message = message_of(host, port, self.request.method, query.target, query.headers + told, self.request.body)
        self.responder.on_left = self.leave
        self.responder.on_room = self._go_on
        try:
            self._upstreams.begin(connection, message, self, max(0.0, left) + _GRACE_SECONDS)
        except NoAnswerError as error:
            self._end(StaleError() if reused else error)
        else:
            self._connection = connection

    def leave(self) -> None:
        """Give up: nobody wants the answer any more."""
        self._end(LEFT)

    # --- what the connection tells ------------------------------------------------------------------
    def moved(self) -> None:
        """More of the answer is here, or its end, or an error."""
        connection = self._connection
        if connection is None:
            return
        try:
            if self._events < 0 and not self._begins(connection):
                return
            self._pass_on(connection)
        except ConnectionError:
            self._end(LEFT)
        except Exception as bug:  # a bug costs one query, and its replica's place is given back
            log.exception("passing on an answer failed")
            self.responder.abort()
            self._end(bug)

    def _begins(self, connection: UpstreamConnection) -> bool:
        """Handle the beginning of an answer; True when a stream has begun."""
        if connection.error is not None:
            self._end(self._failed(connection, connection.error))
            return False
        if not connection.status:
            return False
        if (refused := self._sent_back(connection)) is not None:
            self._end(refused)
            return False
        if connection.complete:
            self._answer(connection, connection.take_all())
            return False
        self._start(connection)
        return True

    def _failed(self, connection: UpstreamConnection, error: UpstreamError) -> Exception:
        if isinstance(error, BrokenAnswerError):
            self._note(good=False)
            return RefusalError(502, f"the replica's answer is broken: {error}", code="bad_answer")
        if isinstance(error, FirstByteTimeoutError):
            self.replica.failed(self._loop.time())  # it has not kept the deadline that it was told
            return RefusalError(504, "the replica did not answer in time", code="answer_timeout")
        if self._reused and connection.stale:
            return StaleError()
        self.replica.failed(self._loop.time())
        return error

    def _sent_back(self, connection: UpstreamConnection) -> Exception | None:
        """Note what the status says of the replica; return what makes another attempt due.

        The last attempt's own 503 goes to the client as it is.
        """
        status, replica = connection.status, self.replica
        if status not in {_UNAVAILABLE, _TOO_MANY}:
            if status < _FIRST_SERVER_ERROR:
                replica.answered()
            return None
        now = self._loop.time()
        if status == _TOO_MANY:
            replica.shun(now + _FULL_SECONDS)
            return SentBackError("full")
        if connection.headers.get(names.HEADER_DRAINING) is not None:
            replica.shun(now + _DRAINING_SECONDS)
            return SentBackError("draining")
        replica.failed(now)
        return None if self.last else EngineFailedError()

    # --- what the client gets -----------------------------------------------------------------------
    def _answer(self, connection: UpstreamConnection, body: bytes) -> None:
        query, status = self.query, connection.status
        query.first_byte = self._loop.time() - query.arrived
        self._metrics.first_byte(query.pool.name, query.first_byte)
        if status < _FIRST_ERROR:
            answered(query, answered_tokens(body), whole=True)
        if query.tap is not None:
            query.tap.began(status, connection.headers)
            query.tap.took(body)
            query.tap.ended()
        self._note(good=status < _FIRST_SERVER_ERROR)
        self.responder.send_lines(status, self._lines(connection), body)
        self._end(str(status))

    def _start(self, connection: UpstreamConnection) -> None:
        headers, lines = connection.headers, self._lines(connection)
        length = headers.get("content-length")
        if length is not None:
            lines += b"content-length: %b\r\n" % length.encode("latin-1")
        if self.query.tap is not None:
            self.query.tap.began(connection.status, headers)
        self.responder.start_lines(connection.status, lines, sized=length is not None)
        self._events = 0

    def _note(self, *, good: bool) -> None:
        self.query.pool.ended(self.replica, self._loop.time(), good=good)

    def _lines(self, connection: UpstreamConnection) -> bytes:
        query = self.query
        ours = told_to_client(query.trace, query.pool.name, query.query_class, query.reason, query.told)
        return passed_back(connection.headers) + ours

    def _pass_on(self, connection: UpstreamConnection) -> None:
        """Pass on what has come of a stream."""
        chunk = connection.take_all()
        if chunk:
            self._count(chunk)
            self.responder.write_now(chunk)
        if connection.complete:
            self._whole = True
            self._note(good=connection.status < _FIRST_SERVER_ERROR)
            if self.query.tap is not None:
                self.query.tap.ended()
            self.responder.end_now()
            self._end(str(connection.status))
        elif connection.error is not None:
            self._note(good=False)
            self._tell_broken(connection, str(connection.error))
            self._end("broken")
        elif self.responder.behind:
            connection.pause()
        else:
            connection.allow_silence(self._upstreams.stall_seconds)

    def _count(self, chunk: bytes) -> None:
        query = self.query
        if query.first_byte is None:
            query.first_byte = self._loop.time() - query.arrived
            self._metrics.first_byte(query.pool.name, query.first_byte)
        if query.tap is not None:
            query.tap.took(chunk)
        new = events_in(chunk)
        self._events += new
        came = min(query.work_left, new)
        query.work_left -= came
        self.replica.work -= came

    def _go_on(self) -> None:
        """The client has caught up."""
        if self._connection is not None:
            self._connection.resume()
            self._connection.allow_silence(self._upstreams.stall_seconds)

    def _tell_broken(self, connection: UpstreamConnection, why: str) -> None:
        """Say that what was sent is not all: an error event in a stream of events, a cut connection otherwise.

        With an announced length there is no room for an event more.
        """
        headers = connection.headers
        is_events = (headers.get("content-type") or "").startswith("text/event-stream")
        if not is_events or headers.get("content-length") is not None:
            self.responder.abort()
            return
        self.responder.write_now(error_event(self.query.target, f"the answer broke off: {why}", "answer_broken"))
        self.responder.end_now()

    def _end(self, outcome: Outcome) -> None:
        ended, self._ended = self._ended, None
        if ended is None:
            return
        connection, self._connection = self._connection, None
        self.responder.on_left = self.responder.on_room = None
        if connection is not None:
            connection.leave()
            self._upstreams.release(connection, self.replica.address)
        if self._events > 0:  # also of an answer that was left: the replica did the work
            answered(self.query, streamed_tokens(self._events), whole=self._whole)
        ended(self, outcome)


def answered(query: Query, tokens: int, *, whole: bool) -> None:
    """Take in the length of an answer; one that was cut off teaches nothing about lengths."""
    pool, predicted = query.pool, query.need.output_tokens
    pool.served(query.prompt_tokens, tokens)
    query.used_tokens = query.prompt_tokens + tokens
    pool.charge(query.need, tokens - predicted)
    if query.asked is not None and whole and tokens:
        pool.answered(query.asked, predicted, tokens)
