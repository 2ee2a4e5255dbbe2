"""One pool: its ready replicas, the queries in flight on them and those that wait."""

import asyncio
from collections.abc import Mapping

from autoglm_api.config import GatewayPool, PoolDemand
from autoglm_gateway.admit import DrainRate, retry_after
from autoglm_gateway.balance import Address, Replica, least_loaded, share
from autoglm_gateway.schedule import WaitingLine


class QueueFullError(Exception):
    """No place in the queue; `retry_after_seconds` says when there should be one."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"the queue is full, retry in {retry_after_seconds} s")
        self.retry_after_seconds = retry_after_seconds


class WaitedTooLongError(Exception):
    """The queue's deadline passed before a replica had room."""


class PoolGoneError(Exception):
    """The pool was removed while the query waited."""


class Pool:
    """Hands out replicas: at most the share of each one's concurrency, first come first served."""

    def __init__(self, config: GatewayPool, max_queries: int) -> None:
        self.config = config
        self.max_queries = max_queries
        self.in_flight = 0
        self._gateways = 1
        self._replicas: dict[Address, Replica] = {}
        self._line: WaitingLine[asyncio.Future[Replica]] = WaitingLine()
        self._drained = DrainRate()
        self._uses = 0

    @property
    def name(self) -> str:
        """The pool's name."""
        return self.config.name

    @property
    def queued(self) -> int:
        """How many queries wait."""
        return len(self._line)

    @property
    def ready_replicas(self) -> int:
        """How many replicas are ready, by what Kubernetes says."""
        return len(self._replicas)

    def demand(self) -> PoolDemand:
        """Return what this gateway asks of the pool."""
        return PoolDemand(
            pool=self.name, queued=self.queued, in_flight=self.in_flight, ready_replicas=self.ready_replicas
        )

    async def take(self, deadline: float, *, again: bool = False) -> Replica:
        """Return a replica to send one query to; give it back with `release`.

        `deadline` is the event loop's time until which the query may wait. `again` is for a query that a replica
        sent back: it goes to the head of the queue and is never refused.

        Raises:
            QueueFullError: too many wait already.
            WaitedTooLongError: the deadline passed.
            PoolGoneError: the pool was removed.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        if again or not self._line:
            replica = self._pick(now)
            if replica is not None:
                return replica
        if not again:
            self._admit(now)
        future: asyncio.Future[Replica] = loop.create_future()
        ticket = self._line.join(future, deadline, front=again)
        try:
            return await future
        except asyncio.CancelledError:
            self._line.leave(ticket)
            if future.done() and not future.cancelled() and future.exception() is None:
                self.release(future.result())  # granted in the moment of leaving
            raise

    def release(self, replica: Replica) -> None:
        """Give back a replica after its query, and serve the next one that waits."""
        now = asyncio.get_running_loop().time()
        replica.in_flight -= 1
        self.in_flight -= 1
        self._drained.record(now)
        if self._line:
            self.serve_waiting(now)

    def serve_waiting(self, now: float) -> None:
        """Turn away who has waited too long and send the rest where there is room."""
        for late in self._line.expired(now):
            _fail(late, WaitedTooLongError("no replica had room in time"))
        while self._line:
            replica = self._pick(now)
            if replica is None:
                return
            future = self._line.next(now)
            if future is None or future.done():
                self._unpick(replica)
            else:
                future.set_result(replica)

    def set_replicas(self, found: Mapping[Address, str], gateways: int, now: float) -> list[Address]:
        """Take over the ready replicas (address to revision); returns the addresses that are gone."""
        gone = [address for address in self._replicas if address not in found]
        self._replicas = {address: self._known(address, revision) for address, revision in found.items()}
        self._gateways = gateways
        self.serve_waiting(now)
        return gone

    def reconfigure(self, config: GatewayPool, max_queries: int, now: float) -> None:
        """Take over new settings."""
        self.config = config
        self.max_queries = max_queries
        self.serve_waiting(now)

    def dismiss(self) -> None:
        """Turn away everybody who waits, because the pool is gone."""
        for future in self._line.clear():
            _fail(future, PoolGoneError(f"pool {self.name} was removed"))

    def _known(self, address: Address, revision: str) -> Replica:
        known = self._replicas.get(address)
        return known if known is not None and known.revision == revision else Replica(address, revision)

    def _admit(self, now: float) -> None:
        seconds = retry_after(len(self._line), self.max_queries, self._drained.per_second(now))
        if seconds is not None:
            raise QueueFullError(seconds)

    def _pick(self, now: float) -> Replica | None:
        cap = share(self.config.concurrency_per_replica, self._gateways)
        replica = least_loaded(self._replicas.values(), cap, now)
        if replica is not None:
            self._uses += 1
            replica.last_used = self._uses
            replica.in_flight += 1
            self.in_flight += 1
        return replica

    def _unpick(self, replica: Replica) -> None:
        replica.in_flight -= 1
        self.in_flight -= 1


def _fail(future: "asyncio.Future[Replica]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
