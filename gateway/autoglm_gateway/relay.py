"""One query on its way: wait for a replica, send, try elsewhere while nothing has come back, stream the answer."""

import asyncio
from dataclasses import dataclass, field
from typing import Final

from autoglm_api import names
from autoglm_api.spec import QueryClass
from autoglm_gateway.balance import Replica
from autoglm_gateway.metrics import Metrics
from autoglm_gateway.passing import Trace, passed_back, told_to_client, told_to_replica
from autoglm_gateway.pool import Pool, PoolGoneError, QueueFullError, WaitedTooLongError
from autoglm_gateway.refusal import RefusalError, error_event
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
    max_wait_seconds: float
    prompt_tokens: int = 0  # estimated
    tokens: int = 0  # the same with the predicted output
    told: list[Pair] = field(default_factory=list)  # more headers for the client
    wait_until: float = field(init=False)

    def __post_init__(self) -> None:
        """The longest wait counts from the arrival."""
        self.wait_until = self.arrived + self.max_wait_seconds


class _SentBackError(Exception):
    """The replica did not take the query; nothing of an answer has come. The text is the reason for the metrics."""


class _EngineFailedError(Exception):
    """The replica took the query and its engine failed before the first token."""


class Relay:
    """Carries queries to replicas.

    `answer_seconds` is the deadline that a replica is told, counted from the query's arrival; the gateway itself
    gives up when not even a first byte has come by then. Silence between two pieces is bounded by `upstreams`.
    """

    def __init__(self, upstreams: UpstreamPool, metrics: Metrics, *, answer_seconds: float) -> None:
        self._upstreams = upstreams
        self._metrics = metrics
        self._answer_seconds = answer_seconds

    async def carry(self, query: Query, request: Request, responder: Responder) -> None:
        """Answer one query and count it.

        Raises:
            RefusalError: 429, 502, 503 or 504, when no replica has begun an answer.
        """
        code = "499"
        self._metrics.routed(query.query_class, query.chosen_by)
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
            try:
                return await self._attempt(query, replica, request, responder, last=last)
            except (NoAnswerError, _EngineFailedError) as error:
                if last:
                    raise RefusalError(502, "two replicas closed the connection without an answer") from None
                lost += 1
                reason = "lost" if isinstance(error, NoAnswerError) else "engine_failed"
            except _SentBackError as sent_back:
                reason = str(sent_back)
            except ConnectFailedError:
                reason = "connect"
            finally:
                query.pool.release(replica)
            # The time at a replica that was lost is no time in the queue.
            query.wait_until += asyncio.get_running_loop().time() - sent
            self._metrics.retried(query.pool.name, reason)

    async def _take(self, query: Query, *, again: bool) -> Replica:
        loop = asyncio.get_running_loop()
        try:
            replica = await query.pool.take(query.wait_until, again=again, tokens=query.tokens)
        except QueueFullError as full:
            seconds = str(full.retry_after_seconds)
            message = f"pool {query.pool.name} is full; retry in {seconds} s"
            raise RefusalError(429, message, code="queue_full", headers=(("retry-after", seconds),)) from None
        except WaitedTooLongError:
            message = f"no replica of pool {query.pool.name} had room within {query.max_wait_seconds:g} s"
            raise RefusalError(504, message, code="queue_timeout") from None
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
                    query.pool.served(query.prompt_tokens, answered_tokens(body))
                await responder.send(response.status, self._answer_headers(query, response), body)
                return str(response.status)
            return await self._stream(query, response, responder)
        finally:
            response.close()

    async def _send(self, query: Query, replica: Replica, request: Request) -> UpstreamResponse:
        loop = asyncio.get_running_loop()
        left = query.arrived + self._answer_seconds - loop.time()
        headers = [*query.headers, *told_to_replica(query.trace, query.query_class, left)]
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

    async def _stream(self, query: Query, response: UpstreamResponse, responder: Responder) -> str:
        headers = self._answer_headers(query, response)
        length = response.headers.get("content-length")
        # With an announced length there is no room for an event more.
        is_events = length is None and (response.headers.get("content-type") or "").startswith("text/event-stream")
        responder.start(response.status, headers if length is None else [*headers, ("content-length", length)])
        events = 0
        first = True
        try:
            async for chunk in response.chunks():
                if first:
                    self._first_byte(query)
                    first = False
                events += events_in(chunk)
                await responder.write(chunk)
        except BrokenAnswerError as error:
            await self._tell_broken(responder, str(error), is_events=is_events)
            return "broken"
        finally:
            if events:  # also of an answer that was left: the replica did the work
                query.pool.served(query.prompt_tokens, streamed_tokens(events))
        await responder.end()
        return str(response.status)

    async def _tell_broken(self, responder: Responder, why: str, *, is_events: bool) -> None:
        """Say that what was sent is not all: an error event in a stream of events, a cut connection otherwise."""
        if not is_events:
            responder.abort()
            return
        await responder.write(error_event(f"the answer broke off: {why}", "answer_broken"))
        await responder.end()

    def _first_byte(self, query: Query) -> None:
        self._metrics.first_byte(query.pool.name, asyncio.get_running_loop().time() - query.arrived)

    def _answer_headers(self, query: Query, response: UpstreamResponse) -> list[Pair]:
        ours = told_to_client(query.trace, query.pool.name, query.query_class, query.reason)
        return [*passed_back(response.headers), *ours, *query.told]
