"""One pool: its ready replicas, the queries in flight on them and those that wait."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from autoglm_api.config import GatewayPool, PoolDemand
from autoglm_api.queue import Order, Queue
from autoglm_gateway.admit import DrainRate, retry_after
from autoglm_gateway.affinity import Ring
from autoglm_gateway.balance import Address, Replica, share
from autoglm_gateway.openings import Openings
from autoglm_gateway.queueing import Tier, WaitingLine
from autoglm_gateway.queueing.predict import Asked, Predictor
from autoglm_gateway.serving import MAX_WAITING_BYTES, Need, Reserve, policy_of
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


@dataclass(slots=True, eq=False)
class _Waiter:
    """A query that waits."""

    future: "asyncio.Future[Replica]"
    need: Need


class Pool:
    """Hands out replicas, at most the share of each one's concurrency; who waits is served by the queue's policy."""

    def __init__(self, config: GatewayPool, queue: Queue | None = None) -> None:
        self.config = config
        self.queue = queue or Queue()
        self.in_flight = 0
        self._gateways = 1
        self._gone = False
        self.revision: str | None = None
        """The revision of every ready replica; None without any, and in a rollout."""
        self._replicas: dict[Address, Replica] = {}
        self._openings = Openings()
        self._leaving: dict[Address, Replica] = {}  # not ready any more, or not for now, with queries still in flight
        self._line: WaitingLine[_Waiter] = WaitingLine(policy_of(self.queue))
        self._reserve = Reserve(self.queue.urgent_reserve_percent)
        self.longest_wait = _longest_waits(self.queue)
        self._ring = Ring()
        self._drained = DrainRate()
        self._uses = 0
        self.outputs = OutputMean()
        self.predictor = Predictor()
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
    def promotions(self) -> int:
        """How many queries were moved up a tier because they had waited long."""
        return self._line.promotions

    def waiting(self) -> dict[Tier, int]:
        """Return how many wait in each tier."""
        return self._line.waiting()

    @property
    def ready_replicas(self) -> int:
        """How many replicas are ready, by what Kubernetes says."""
        return len(self._replicas)

    def room(self) -> Room:
        """Return the slots of the ready replicas and how many are taken."""
        slots = self._slots()
        waking = self.config.may_sleep and not self._replicas
        return Room(self.name, slots, self._taken_slots(), self.queued, waking=waking)

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

    def predicts(self) -> bool:
        """Whether lengths of answers are predicted query by query: only an order by them needs it."""
        return self.queue.order is Order.SHORTEST_REMAINING

    def answered(self, asked: Asked, predicted: int, tokens: int) -> None:
        """Learn how long an answer was; predictions that prove worthless are not ordered by."""
        trusted = self.predictor.trusted
        self.predictor.saw(asked, predicted, tokens)
        if self.predictor.trusted is not trusted:
            self._line.serve_by(policy_of(self.queue, trusted=self.predictor.trusted))

    def ended(self, replica: Replica, now: float, *, good: bool) -> None:
        """Note how an answer ended: a replica that errs at once would draw all queries, being the least busy.

        It is left alone for a while after some bad answers in a row, as long as half of the replicas are not.
        """
        if replica.ended(good=good):
            shunned = sum(one.shunned_until > now for one in self._replicas.values() if one is not replica)
            if 2 * (shunned + 1) <= len(self._replicas):
                replica.failed(now)

    def charge(self, need: Need, more_tokens: int) -> None:
        """Correct what the query's tenant was charged: real tokens less the predicted ones."""
        if more_tokens and self.queue.order is Order.FAIR:
            self._line.charge(need.wish, more_tokens)

    async def take(self, need: Need, *, again: bool = False, tokens: int = 0) -> Replica:
        """Return a replica to send one query to; give it back with `release`.

        The wish's deadline is the event loop's time until which the query may wait. `again` is for a query that a
        replica sent back: it goes to the head of the queue and is never refused. `tokens` is how much work it is.

        Raises:
            QueueFullError: too many wait already.
            WaitedTooLongError: the deadline passed.
            PoolGoneError: the pool was removed.
        """
        loop = asyncio.get_running_loop()
        now = loop.time()
        replica = self.take_now(need, now, again=again)
        if replica is not None:
            return replica
        if not again:
            self._admit(need, now)
        return await self._wait(_Waiter(loop.create_future(), need), front=again, tokens=tokens)

    def take_now(self, need: Need, now: float, *, again: bool = False) -> Replica | None:
        """Return a replica if one has room and nobody waits who comes first, as `take` does; otherwise None.

        Raises:
            PoolGoneError: the pool was removed.
        """
        if self._gone:
            raise self._removed()
        urgent = need.wish.tier is Tier.URGENT
        if urgent:
            self._reserve.saw_urgent(now)
        elif (self._line and not again) or self._only_reserve_left(now):
            return None
        return self._pick(need, now)

    async def _wait(self, waiter: _Waiter, *, front: bool, tokens: int) -> Replica:
        ticket = self._line.join(waiter, waiter.need.wish, front=front)
        self.queued_tokens += tokens
        future = waiter.future
        try:
            return await future
        except asyncio.CancelledError:
            self._line.leave(ticket)
            if future.done() and not future.cancelled() and future.exception() is None:
                self.release(future.result(), waiter.need)  # granted in the moment of leaving
            raise
        finally:
            self.queued_tokens -= tokens

    def release(self, replica: Replica, need: Need, *, work_left: int | None = None) -> None:
        """Give back a replica after its query, and serve the next one that waits.

        `work_left` are the predicted tokens that have not come; all of them when it is not given.
        """
        now = asyncio.get_running_loop().time()
        self._unpick(replica, need, need.output_tokens if work_left is None else work_left)
        self._drained.record(now)
        self._send_waiting(now)

    def serve_waiting(self, now: float) -> None:
        """Turn away who has waited too long, promote who has waited long, and send where there is room."""
        for late in self._line.expired(now):
            _fail(late, WaitedTooLongError("no replica had room in time"))
        self._send_waiting(now)

    def _send_waiting(self, now: float) -> None:
        while self._line and self._openings.any(now):
            waiter = self._line.next(now, urgent_only=self._only_reserve_left(now))
            if waiter is None:
                return
            if waiter.future.done():
                continue
            replica = self._pick(waiter.need, now)
            if replica is None:
                raise RuntimeError("a replica that had room has it still")
            waiter.future.set_result(replica)

    def set_replicas(self, found: Mapping[Address, str], gateways: int, now: float) -> list[Address]:
        """Take over the ready replicas (address to revision); returns the addresses that are gone."""
        gone = [address for address in self._replicas if address not in found]
        known = self._leaving | self._replicas
        self._replicas = {address: _known(known, address, revision) for address, revision in found.items()}
        self._leaving = {
            address: replica for address, replica in known.items() if address not in found and replica.in_flight
        }
        self._gateways = gateways
        revisions = set(found.values())
        self.revision = revisions.pop() if len(revisions) == 1 else None
        self._resettle()
        self.serve_waiting(now)
        return gone

    def reconfigure(self, config: GatewayPool, queue: Queue, now: float) -> None:
        """Take over new settings; who waits gets the place that they give."""
        self.config = config
        self.queue = queue
        self.longest_wait = _longest_waits(queue)
        self._reserve.percent = queue.urgent_reserve_percent
        self._line.serve_by(policy_of(queue, trusted=self.predictor.trusted))
        self._resettle()
        self.serve_waiting(now)

    def dismiss(self) -> None:
        """Turn away everybody who waits, because the pool is gone."""
        self._gone = True
        for waiter in self._line.clear():
            _fail(waiter, self._removed())

    def _removed(self) -> PoolGoneError:
        return PoolGoneError(f"pool {self.name} was removed")

    def _admit(self, need: Need, now: float) -> None:
        while (seconds := self._seconds_until_place(need, now)) is not None:
            displaced = self._line.displaced_by(need.wish)
            if displaced is None:
                raise QueueFullError(seconds)
            _fail(displaced, QueueFullError(seconds))

    def _seconds_until_place(self, need: Need, now: float) -> int | None:
        too_much = bool(self._line) and self._line.size + need.wish.size > MAX_WAITING_BYTES
        limit = 0 if too_much else self.queue.max_queries
        return retry_after(len(self._line), limit, self._drained.per_second(now))

    def _resettle(self) -> None:
        self._openings.reset(self._replicas.values(), self._cap())
        if self.queue.prefix_affinity:
            self._ring.follow(self._replicas)

    def _slots(self) -> int:
        return len(self._replicas) * self._cap()

    def _taken_slots(self) -> int:
        """Return how many slots of ready replicas are taken; what is in flight on those that leave takes none."""
        if not self._leaving:
            return self.in_flight
        return self.in_flight - sum(replica.in_flight for replica in self._leaving.values())

    def _cap(self) -> int:
        return share(self.config.concurrency_per_replica, self._gateways)

    def _only_reserve_left(self, now: float) -> bool:
        slots = self._slots()
        reserved = self._reserve.slots(slots, now)
        return reserved > 0 and self._taken_slots() >= slots - reserved

    def _pick(self, need: Need, now: float) -> Replica | None:
        replica = self._choose(need, now)
        if replica is not None:
            self._uses += 1
            replica.last_used = self._uses
            replica.taken()
            replica.work += need.output_tokens
            replica.lengths[need.length] += 1
            self._openings.changed(replica)
            self.in_flight += 1
        return replica

    def _choose(self, need: Need, now: float) -> Replica | None:
        if need.prefix and self.queue.prefix_affinity:
            owner = self._ring.owner(need.prefix, self._cap(), now, self._taken_slots())
            if owner is not None:
                return owner
        return self._openings.best(now, need.length if self._line else None)

    def _unpick(self, replica: Replica, need: Need, work_left: int) -> None:
        replica.given_back()
        replica.work -= work_left
        replica.lengths[need.length] -= 1
        self.in_flight -= 1
        if self._replicas.get(replica.address) is replica:
            self._openings.changed(replica)
        if not replica.in_flight and self._leaving.get(replica.address) is replica:
            del self._leaving[replica.address]


def _longest_waits(queue: Queue) -> dict[Tier, int]:
    return {tier: queue.longest_wait(tier) for tier in Tier}


def _known(known: Mapping[Address, Replica], address: Address, revision: str) -> Replica:
    replica = known.get(address)
    return replica if replica is not None and replica.revision == revision else Replica(address, revision)


def _fail(waiter: _Waiter, error: Exception) -> None:
    if not waiter.future.done():
        waiter.future.set_exception(error)
