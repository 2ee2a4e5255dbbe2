"""One query on its way: wait for a replica, send, try elsewhere while nothing has come back, stream the answer.

A query that finds a replica with room and a connection that is open is sent at once and answered by callbacks
(`start`). Only one that has to wait for something, or is tried again, costs a task (`carry`).
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final, Protocol

from autoglm_gateway.attempt import (
    LEFT,
    Attempt,
    EngineFailedError,
    Outcome,
    SentBackError,
    StaleError,
    UnconnectedError,
)
from autoglm_gateway.balance import Replica
from autoglm_gateway.metrics import Metrics
from autoglm_gateway.pool import PoolGoneError, QueueFullError, WaitedTooLongError
from autoglm_gateway.query import Query
from autoglm_gateway.refusal import RefusalError
from autoglm_gateway.retries import RetryBudget
from autoglm_transport.client import UpstreamPool
from autoglm_transport.errors import ConnectFailedError, NoAnswerError
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder

_TRIES_AFTER_LOSS: Final = 2  # the first and one more

# Hears of the end of a query that was started: None, or what its client is to be told.
Then = Callable[[Exception | None], None]


class Carrier(Protocol):
    """Whoever answers queries."""

    def start(self, query: Query, request: Request, responder: Responder, then: Then) -> bool:
        """Answer one query by callbacks and call `then` at its end; False, and nothing is done, when it has to wait."""

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
        self._trying_again: set[asyncio.Task[None]] = set()

    # --- at once ------------------------------------------------------------------------------------
    def start(self, query: Query, request: Request, responder: Responder, then: Then) -> bool:
        """Send the query if a replica has room now; `then` hears of its end. False: it has to wait, use `carry`."""
        now = query.arrived
        try:
            replica = query.pool.take_now(query.need, now)
        except PoolGoneError:
            return False
        if replica is None:
            return False
        self._came(query)
        query.waited = 0.0
        self._metrics.waited(query.pool.name, 0.0)
        query.sent(now, self._answer_seconds)

        def ended(attempt: Attempt, outcome: Outcome) -> None:
            if not isinstance(outcome, str):
                self._again(attempt, outcome, then)
                return
            query.pool.release(replica, query.need, work_left=query.work_left)
            self._went(query, outcome)
            then(None)

        attempt = Attempt(self._upstreams, self._metrics, query, replica, request, responder, ended)
        connection = self._upstreams.idle(replica.address)
        if connection is None:
            self._again(attempt, UnconnectedError(), then)
        else:
            attempt.begin(connection, now, reused=True)
        return True

    def _again(self, first: Attempt, outcome: Exception, then: Then) -> None:
        """Go on with a task after a first attempt that has given no answer."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._go_on(first, outcome, then))
        self._trying_again.add(task)
        task.add_done_callback(self._trying_again.discard)
        # Not at once: a task that is cancelled before its first step would never give its replica back.
        first.responder.on_left = lambda: loop.call_soon(task.cancel)

    async def _go_on(self, first: Attempt, outcome: Exception, then: Then) -> None:
        answering = self._tries(first.query, first.request, first.responder, first, outcome)
        told: Exception | None = None
        try:
            await self._count_out(first.query, answering)
        except asyncio.CancelledError:  # the client has left
            first.responder.abort()
        except Exception as error:  # noqa: BLE001 - whoever has started the query is told, as by `carry`
            told = error
        then(told)

    # --- in a task ----------------------------------------------------------------------------------
    async def carry(self, query: Query, request: Request, responder: Responder) -> None:
        """Answer one query and count it.

        Raises:
            RefusalError: 429, 502, 503 or 504, when no replica has begun an answer.
        """
        self._came(query)
        await self._count_out(query, self._tries(query, request, responder))

    async def _count_out(self, query: Query, answering: Coroutine[Any, Any, str]) -> None:
        try:
            self._went(query, await answering)
        except RefusalError as refusal:
            query.code = str(refusal.status)
            query.error = refusal.code or query.code
            self._metrics.rejected(query.pool.name, query.error)
            self._metrics.count(query.pool.name, query.query_class, query.code)
            raise
        except BaseException:
            self._metrics.count(query.pool.name, query.query_class, LEFT)
            raise

    async def _tries(
        self,
        query: Query,
        request: Request,
        responder: Responder,
        first: Attempt | None = None,
        outcome: Outcome | None = None,
    ) -> str:
        """Try until an answer has been given; `outcome` is how a first attempt ended whose replica is still taken."""
        loop = asyncio.get_running_loop()
        on_left = responder.on_left
        lost, sent, again = 0, query.arrived, first is not None
        replica = None if first is None else first.replica
        while True:
            responder.on_left = on_left
            if replica is None:
                replica = await self._take(query, again=again)
                sent = loop.time()
                query.sent(sent, self._answer_seconds)
            try:
                outcome = await self._outcome(query, replica, request, responder, lost, outcome)
                if isinstance(outcome, str):
                    return outcome
                reason = self._why_again(outcome, lost, sent)
                lost += not isinstance(outcome, SentBackError | ConnectFailedError)
            finally:
                query.pool.release(replica, query.need, work_left=query.work_left)
                replica, outcome, again = None, None, True
            # The time at a replica that was lost is no time in the queue.
            query.wait_longer(loop.time() - sent)
            self._metrics.retried(query.pool.name, reason)

    async def _outcome(
        self, query: Query, replica: Replica, request: Request, responder: Responder, lost: int, so_far: Outcome | None
    ) -> Outcome:
        """Return how the attempt at a replica ends; one that met a closed connection is made by a new one."""
        last = lost + 1 >= _TRIES_AFTER_LOSS
        if so_far is None:
            so_far = await self._attempt(query, replica, request, responder, last=last, fresh=False)
        if isinstance(so_far, StaleError | UnconnectedError):
            stale = isinstance(so_far, StaleError)
            so_far = await self._attempt(query, replica, request, responder, last=last, fresh=True)
            if stale and isinstance(so_far, ConnectFailedError):
                # An upstream that is gone altogether may have died of the request, which was sent to it.
                so_far = NoAnswerError("the upstream closed the connection without an answer")
        return so_far

    async def _attempt(
        self, query: Query, replica: Replica, request: Request, responder: Responder, *, last: bool, fresh: bool
    ) -> Outcome:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[Outcome] = loop.create_future()

        def end(_: Attempt, outcome: Outcome) -> None:
            if not ended.done():
                ended.set_result(outcome)

        attempt = Attempt(self._upstreams, self._metrics, query, replica, request, responder, end)
        attempt.last = last
        connection = None if fresh else self._upstreams.idle(replica.address)
        reused = connection is not None
        if connection is None:
            try:
                connection = await self._upstreams.connect(replica.address)
            except ConnectFailedError as error:
                replica.failed(loop.time())
                return error
        attempt.begin(connection, loop.time(), reused=reused)
        try:
            return await ended
        finally:
            attempt.leave()  # nothing happens when it has ended

    def _why_again(self, outcome: Exception, lost: int, sent: float) -> str:
        """Return why another attempt is made; raise when there is none."""
        if isinstance(outcome, SentBackError):
            return str(outcome)
        if isinstance(outcome, ConnectFailedError):
            self._spend_retry(sent)
            return "connect"
        if not isinstance(outcome, NoAnswerError | EngineFailedError):
            raise outcome
        if lost + 1 >= _TRIES_AFTER_LOSS:
            raise RefusalError(502, "two replicas closed the connection without an answer")
        self._spend_retry(sent)
        return "lost" if isinstance(outcome, NoAnswerError) else "engine_failed"

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
            query.waited = loop.time() - query.arrived
            self._metrics.waited(query.pool.name, query.waited)
        return replica

    # --- accounts -----------------------------------------------------------------------------------
    def _came(self, query: Query) -> None:
        self._metrics.routed(query.query_class, query.chosen_by)
        if query.offered_class is not None:
            self._metrics.offered(query.offered_class, query.tokens)
        self._budget.saw_query(query.arrived)

    def _went(self, query: Query, code: str) -> None:
        query.code = code
        if code != LEFT:
            self._metrics.finished(query.pool.name, asyncio.get_running_loop().time() - query.arrived)
        self._metrics.count(query.pool.name, query.query_class, code)
