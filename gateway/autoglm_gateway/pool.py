"""One pool: its ready replicas, the queries in flight on them and those that wait."""

import asyncio
from collections.abc import Mapping

from autoglm_api.config import GatewayPool, PoolDemand
from autoglm_gateway.admit import DrainRate, retry_after
from autoglm_gateway.balance import Address, Replica, least_loaded, share
from autoglm_gateway.schedule import WaitingLine
from autoglm_gateway.spillover import Room
from autoglm_gateway.tokens import OutputMean


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
        self._gone = False
        self._replicas: dict[Address, Replica] = {}
        self._leaving: dict[Address, Replica] = {}  # not ready any more, or not for now, with queries still in flight
        self._line: WaitingLine[asyncio.Future[Replica]] = WaitingLine()
        self._drained = DrainRate()
        self._uses = 0
        self.outputs = OutputMean()
        self.queued_tokens = 0
        self.served_tokens = 0

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

    def room(self) -> Room:
        """Return the slots of the ready replicas and how many are taken."""
        slots = len(self._replicas) * share(self.config.concurrency_per_replica, self._gateways)
        waking = self.config.may_sleep and not self._replicas
        return Room(self.name, slots, self.in_flight, self.queued, waking=waking)

    def demand(self) -> PoolDemand:
        """Return what this gateway asks of the pool."""
        working = (self._leaving | self._replicas).values()
        return PoolDemand(
            pool=self.name,
            queued=self.queued,
            in_flight=self.in_flight,
            ready_replicas=self.ready_replicas,
            queued_tokens=self.queued_tokens,
            served_tokens=self.served_tokens,
            replicas={f"{replica.address.host}:{replica.address.port}": replica.in_flight for replica in working},
        )

    def served(self, prompt_tokens: int, output_tokens: int) -> None:
        """Take in an answered query: its estimated prompt and the output tokens that were seen."""
        self.outputs.saw(output_tokens)
        self.served_tokens += prompt_tokens + output_tokens

    async def take(self, deadline: float, *, again: bool = False, tokens: int = 0) -> Replica:
        """Return a replica to send one query to; give it back with `release`.

        `deadline` is the event loop's time until which the query may wait. `again` is for a query that a replica
        sent back: it goes to the head of the queue and is never refused. `tokens` is how much work it is.

        Raises:
            QueueFullError: too many wait already.
            WaitedTooLongError: the deadline passed.
            PoolGoneError: the pool was removed.
        """
        if self._gone:
            raise self._removed()
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
        self.queued_tokens += tokens
        try:
            return await future
        except asyncio.CancelledError:
            self._line.leave(ticket)
            if future.done() and not future.cancelled() and future.exception() is None:
                self.release(future.result())  # granted in the moment of leaving
            raise
        finally:
            self.queued_tokens -= tokens

    def release(self, replica: Replica) -> None:
        """Give back a replica after its query, and serve the next one that waits."""
        now = asyncio.get_running_loop().time()
        self._unpick(replica)
        self._drained.record(now)
        self._send_waiting(now)

    def serve_waiting(self, now: float) -> None:
        """Turn away who has waited too long and send the rest where there is room."""
        for late in self._line.expired(now):
            _fail(late, WaitedTooLongError("no replica had room in time"))
        self._send_waiting(now)

    def _send_waiting(self, now: float) -> None:
        while self._line:
            replica = self._pick(now)
            if replica is None:
                return
            future = self._line.next(now)
            if future is not None and not future.done():
                future.set_result(replica)
                continue
            self._unpick(replica)
            if future is None:  # only those are left whose deadline has passed
                return

    def set_replicas(self, found: Mapping[Address, str], gateways: int, now: float) -> list[Address]:
        """Take over the ready replicas (address to revision); returns the addresses that are gone."""
        gone = [address for address in self._replicas if address not in found]
        known = self._leaving | self._replicas
        self._replicas = {address: _known(known, address, revision) for address, revision in found.items()}
        self._leaving = {
            address: replica for address, replica in known.items() if address not in found and replica.in_flight
        }
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
        self._gone = True
        for future in self._line.clear():
            _fail(future, self._removed())

    def _removed(self) -> PoolGoneError:
        return PoolGoneError(f"pool {self.name} was removed")

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
            replica.taken()
            self.in_flight += 1
        return replica

    def _unpick(self, replica: Replica) -> None:
        replica.given_back()
        self.in_flight -= 1
        if not replica.in_flight and self._leaving.get(replica.address) is replica:
            del self._leaving[replica.address]


def _known(known: Mapping[Address, Replica], address: Address, revision: str) -> Replica:
    replica = known.get(address)
    return replica if replica is not None and replica.revision == revision else Replica(address, revision)


def _fail(future: "asyncio.Future[Replica]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
