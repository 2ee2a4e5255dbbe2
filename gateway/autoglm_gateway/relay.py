"""One query on its way: wait for a replica, send, try elsewhere while nothing has come back, stream the answer."""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from autoglm_api import names
from autoglm_api.spec import QueryClass
from autoglm_gateway.balance import Replica
from autoglm_gateway.metrics import Metrics
from autoglm_gateway.passing import Trace, passed_back, told_to_client, told_to_replica
from autoglm_gateway.pool import Pool, PoolGoneError, QueueFullError, WaitedTooLongError
from autoglm_gateway.principals import Use
from autoglm_gateway.queueing.predict import Asked
from autoglm_gateway.refusal import RefusalError, error_event
from autoglm_gateway.retries import RetryBudget
from autoglm_gateway.serving import Need
from autoglm_gateway.tokens import answered_tokens, events_in, streamed_tokens
from autoglm_transport.client import UpstreamPool
from autoglm_transport.errors import (
    BrokenAnswerError,
    ConnectFailedError,
    FirstByteTimeoutError,
    NoAnswerError,
)
from autoglm_transport.exchange import UpstreamResponse
from autoglm_transport.http import Pair, Request
from autoglm_transport.responder import Responder

# A replica that drains soon leaves the endpoints; one that is full has room in a moment.
_DRAINING_SECONDS: Final = 5.0
_FULL_SECONDS: Final = 0.1
_TRIES_AFTER_LOSS: Final = 2  # the first and one more
_GRACE_SECONDS: Final = 1.0  # the replica keeps the deadline itself; the gateway only if it does not
_UNAVAILABLE: Final = 503
_FIRST_ERROR: Final = 400
_TOO_MANY: Final = 429


@dataclass(slots=True)
class Query:
    """What is sent where, and why."""

    pool: Pool
    query_class: QueryClass
    chosen_by: str  # one word for the metrics
    reason: str  # a line for the client
    target: str
    headers: list[Pair]
    trace: Trace
    arrived: float
    need: Need
    deadline: float | None = None  # the client's own
    prompt_tokens: int = 0  # estimated
    asked: Asked | None = None  # what lengths of answers are learned by
    use: Use | None = None
    offered_class: QueryClass | None = None  # None: it is no work for an engine
    told: list[Pair] = field(default_factory=list)  # more headers for the client
    used_tokens: int = 0  # that a replica has worked on
    work_left: int = 0  # predicted tokens that the replica has not sent
    answer_until: float = 0.0

    @property
    def tokens(self) -> int:
        """The estimated prompt with the predicted output."""
        return self.prompt_tokens + self.need.output_tokens

    @property
    def patience(self) -> float:
        """How many seconds the query may wait."""
        return self.need.wish.deadline - self.arrived

    def wait_longer(self, seconds: float) -> None:
        """Add to how long the query may wait; never beyond the client's own deadline."""
        until = self.need.wish.deadline + seconds
        until = until if self.deadline is None else min(until, self.deadline)
        self.need = replace(self.need, wish=replace(self.need.wish, deadline=until))

    def sent(self, now: float, answer_seconds: float) -> None:
        """Note that a replica gets the query; the time for its answer begins when it first leaves the queue."""
        self.used_tokens = self.prompt_tokens
        self.work_left = self.need.output_tokens
        if not self.answer_until:
            until = now + answer_seconds
            self.answer_until = until if self.deadline is None else min(until, self.deadline)


class _SentBackError(Exception):
    """The replica did not take the query; nothing of an answer has come. The text is the reason for the metrics."""


class _EngineFailedError(Exception):
    """The replica took the query and its engine failed before the first token."""


class Carrier(Protocol):
    """Whoever answers queries."""

    async def carry(self, query: Query, request: Request, responder: Responder) -> None:
        """Answer one query; raises RefusalError when nothing of an answer was sent."""


class Relay:
    """Carries queries to replicas.

    `answer_seconds` is the deadline that a replica is told, counted from when the query left the queue; the gateway
    itself gives up when not even a first byte has come by then. Silence between two pieces is bounded by `upstreams`.
    """

    def __init__(self, upstreams: UpstreamPool, metrics: Metrics, *, answer_seconds: float) -> None:
        self._upstreams = upstreams
        self._metrics = metrics
        self._answer_seconds = answer_seconds
        self._budget = RetryBudget()

    async def carry(self, query: Query, request: Request, responder: Responder) -> None:
        """Answer one query and count it.

        Raises:
            RefusalError: 429, 502, 503 or 504, when no replica has begun an answer.
        """
        code = "499"
        self._metrics.routed(query.query_class, query.chosen_by)
        if query.offered_class is not None:
            self._metrics.offered(query.offered_class, query.tokens)
        self._budget.saw_query(query.arrived)
        try:
            code = await self._carry(query, request, responder)
            self._metrics.finished(query.pool.name, asyncio.get_running_loop().time() - query.arrived)
        except RefusalError as refusal:
            code = str(refusal.status)
            self._metrics.rejected(query.pool.name, refusal.code or code)
            raise
        finally:
            self._metrics.count(query.pool.name, query.query_class, code)

    async def _carry(self, query: Query, request: Request, responder: Responder) -> str:
        lost = 0
        again = False
        while True:
            replica = await self._take(query, again=again)
            again = True
            last = lost + 1 >= _TRIES_AFTER_LOSS
            sent = asyncio.get_running_loop().time()
            query.sent(sent, self._answer_seconds)
            try:
                return await self._attempt(query, replica, request, responder, last=last)
            except (NoAnswerError, _EngineFailedError) as error:
                if last:
                    raise RefusalError(502, "two replicas closed the connection without an answer") from None
                lost += 1
                reason = "lost" if isinstance(error, NoAnswerError) else "engine_failed"
                self._spend_retry(sent)
            except _SentBackError as sent_back:
                reason = str(sent_back)
            except ConnectFailedError:
                reason = "connect"
                self._spend_retry(sent)
            finally:
                query.pool.release(replica, query.need, work_left=query.work_left)
            # The time at a replica that was lost is no time in the queue.
            query.wait_longer(asyncio.get_running_loop().time() - sent)
            self._metrics.retried(query.pool.name, reason)

    def _spend_retry(self, now: float) -> None:
        if not self._budget.take(now):
            message = "the replica failed, and too many queries are being tried again already"
            raise RefusalError(503, message, code="retry_budget", headers=(("retry-after", "1"),))

    async def _take(self, query: Query, *, again: bool) -> Replica:
        loop = asyncio.get_running_loop()
        try:
            replica = await query.pool.take(query.need, again=again, tokens=query.tokens)
        except QueueFullError as full:
            seconds = str(full.retry_after_seconds)
            message = f"pool {query.pool.name} is full; retry in {seconds} s"
            raise RefusalError(429, message, code="queue_full", headers=(("retry-after", seconds),)) from None
        except WaitedTooLongError:
            message = f"no replica of pool {query.pool.name} had room within {query.patience:.3g} s"
            own = query.deadline is not None and query.deadline <= loop.time()
            raise RefusalError(504, message, code="deadline_exceeded" if own else "queue_timeout") from None
        except PoolGoneError as gone:
            raise RefusalError(503, str(gone), code="pool_removed", headers=(("retry-after", "1"),)) from None
        if not again:
            self._metrics.waited(query.pool.name, loop.time() - query.arrived)
        return replica

    async def _attempt(
        self, query: Query, replica: Replica, request: Request, responder: Responder, *, last: bool
    ) -> str:
        response = await self._send(query, replica, request)
        try:
            self._check_taken(response, replica, last=last)
            if (body := response.whole_body()) is not None:
                self._first_byte(query)
                if response.status < _FIRST_ERROR:
                    _answered(query, answered_tokens(body), whole=True)
                await responder.send(response.status, self._answer_headers(query, response), body)
                return str(response.status)
            return await self._stream(query, replica, response, responder)
        finally:
            response.close()

    async def _send(self, query: Query, replica: Replica, request: Request) -> UpstreamResponse:
        loop = asyncio.get_running_loop()
        left = query.answer_until - loop.time()
        need = query.need
        told = told_to_replica(query.trace, query.query_class, left, need.wish.tier, need.output_tokens)
        headers = [*query.headers, *told]
        try:
            return await self._upstreams.request(
                *replica.address,
                request.method,
                query.target,
                headers,
                request.body,
                first_byte_seconds=max(0.0, left) + _GRACE_SECONDS,
            )
        except FirstByteTimeoutError:
            replica.failed(loop.time())  # it has not kept the deadline that it was told
            raise RefusalError(504, "the replica did not answer in time", code="answer_timeout") from None
        except BrokenAnswerError as error:
            raise RefusalError(502, f"the replica's answer is broken: {error}", code="bad_answer") from None
        except (NoAnswerError, ConnectFailedError):
            replica.failed(loop.time())
            raise

    def _check_taken(self, response: UpstreamResponse, replica: Replica, *, last: bool) -> None:
        """Note what the status says of the replica; raise when another attempt is due.

        The last attempt's own 503 goes to the client as it is.
        """
        now = asyncio.get_running_loop().time()
        if response.status == _UNAVAILABLE and response.headers.get(names.HEADER_DRAINING) is not None:
            replica.shun(now + _DRAINING_SECONDS)
            raise _SentBackError("draining")
        if response.status == _TOO_MANY:
            replica.shun(now + _FULL_SECONDS)
            raise _SentBackError("full")
        if response.status != _UNAVAILABLE:
            replica.answered()
            return
        replica.failed(now)
        if not last:
            raise _EngineFailedError

    async def _stream(self, query: Query, replica: Replica, response: UpstreamResponse, responder: Responder) -> str:
        headers = self._answer_headers(query, response)
        length = response.headers.get("content-length")
        # With an announced length there is no room for an event more.
        is_events = length is None and (response.headers.get("content-type") or "").startswith("text/event-stream")
        responder.start(response.status, headers if length is None else [*headers, ("content-length", length)])
        events = 0
        first = True
        whole = False
        try:
            async for chunk in response.chunks():
                if first:
                    self._first_byte(query)
                    first = False
                new = events_in(chunk)
                events += new
                came = min(query.work_left, new)
                query.work_left -= came
                replica.work -= came
                await responder.write(chunk)
            whole = True
        except BrokenAnswerError as error:
            await self._tell_broken(query.target, responder, str(error), is_events=is_events)
            return "broken"
        finally:
            if events:  # also of an answer that was left: the replica did the work
                _answered(query, streamed_tokens(events), whole=whole)
        await responder.end()
        return str(response.status)

    async def _tell_broken(self, path: str, responder: Responder, why: str, *, is_events: bool) -> None:
        """Say that what was sent is not all: an error event in a stream of events, a cut connection otherwise."""
        if not is_events:
            responder.abort()
            return
        await responder.write(error_event(path, f"the answer broke off: {why}", "answer_broken"))
        await responder.end()

    def _first_byte(self, query: Query) -> None:
        self._metrics.first_byte(query.pool.name, asyncio.get_running_loop().time() - query.arrived)

    def _answer_headers(self, query: Query, response: UpstreamResponse) -> list[Pair]:
        ours = told_to_client(query.trace, query.pool.name, query.query_class, query.reason)
        return [*passed_back(response.headers), *ours, *query.told]


def _answered(query: Query, tokens: int, *, whole: bool) -> None:
    """Take in the length of an answer; one that was cut off teaches nothing about lengths."""
    pool, predicted = query.pool, query.need.output_tokens
    pool.served(query.prompt_tokens, tokens)
    query.used_tokens = query.prompt_tokens + tokens
    pool.charge(query.need, tokens - predicted)
    if query.asked is not None and whole and tokens:
        pool.answered(query.asked, predicted, tokens)
