"""Who is next within one lane of the queue. Pure.

| order             | next is                                                                     |
|-------------------|-----------------------------------------------------------------------------|
| Arrival           | the smallest `arrived - jump`                                               |
| ShortestRemaining | the smallest `tokens + rate * (arrived - jump)`                             |
| Fair              | the first of the tenant that has been served the least work                 |

Ageing in ShortestRemaining: `tokens - rate * waited` orders all waiting queries in the same way at every moment, so the
key never changes while a query waits. A query of L tokens can be overtaken only by those that arrive within L / rate
seconds after it: this bounds its extra wait whatever arrives later. `jump` seconds let a query overtake what arrived up
to so much earlier (source: priority jump of NVIDIA Dynamo's router, "arrived n seconds earlier"). Every operation costs
O(log n) of those that wait, amortised.

Fair keeps a counter of work per tenant and serves the smallest; a tenant that comes back after a pause is lifted to the
smallest counter of those that wait, or, while nobody does, to that of the tenant that stopped waiting last. So idleness
saves up nothing (Virtual Token Counter, Sheng et al., arXiv 2401.00588).
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, Generic, Protocol

from autoglm_gateway.queueing.ticket import Item, Order, Ticket, Wish

_MAX_TENANTS: Final = 10_000
_FEW: Final = 64


class Lane(Protocol[Item]):
    """One part of the queue with one order."""

    def push(self, ticket: Ticket[Item]) -> None:
        """Add a ticket."""

    def peek(self) -> Ticket[Item] | None:
        """Return who is next, and leave it in its place."""

    def drop(self, ticket: Ticket[Item]) -> None:
        """Remove a ticket that is in the lane."""

    def charge(self, tenant: str, tokens: float) -> None:
        """Take in work that was done for a tenant."""

    def __len__(self) -> int:
        """Return how many wait."""

    def __iter__(self) -> Iterator[Ticket[Item]]:
        """Iterate over all who wait, in any order."""


class TenantLine(Generic[Item]):
    """One tenant's queries: who came first."""

    def __init__(self) -> None:
        self._tickets: OrderedDict[Ticket[Item], None] = OrderedDict()

    def push(self, ticket: Ticket[Item]) -> None:
        """Add a ticket; one with a smaller number than the first goes before it."""
        first = self.peek()
        self._tickets[ticket] = None
        if first is not None and ticket.number < first.number:
            self._tickets.move_to_end(ticket, last=False)

    def peek(self) -> Ticket[Item] | None:
        """Return the first."""
        return next(iter(self._tickets), None)

    def drop(self, ticket: Ticket[Item]) -> None:
        """Remove a ticket."""
        del self._tickets[ticket]

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._tickets)

    def __iter__(self) -> Iterator[Ticket[Item]]:
        """Iterate in order."""
        return iter(self._tickets)


class KeyLane(Generic[Item]):
    """The smallest `tokens + rate * (arrived - jump)`; without a rate the smallest `arrived - jump`."""

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._heap: list[tuple[float, int, Ticket[Item]]] = []
        self._here: set[Ticket[Item]] = set()

    def push(self, ticket: Ticket[Item]) -> None:
        """Add a ticket; one that was sent back (negative number) goes before all others."""
        ticket.key = self._key(ticket.wish) if ticket.number >= 0 else float("-inf")
        heapq.heappush(self._heap, (ticket.key, ticket.number, ticket))
        self._here.add(ticket)

    def _key(self, wish: Wish) -> float:
        since = wish.arrived - wish.jump
        return since if self._rate is None else wish.tokens + self._rate * since

    def peek(self) -> Ticket[Item] | None:
        """Return the ticket with the smallest key."""
        while self._heap and self._heap[0][2] not in self._here:
            heapq.heappop(self._heap)
        return self._heap[0][2] if self._heap else None

    def drop(self, ticket: Ticket[Item]) -> None:
        """Remove a ticket; its entry in the heap goes when it comes up, or when most entries are such ghosts."""
        self._here.discard(ticket)
        if len(self._heap) > _FEW and len(self._heap) > 2 * len(self._here):
            self._heap = [entry for entry in self._heap if entry[2] in self._here]
            heapq.heapify(self._heap)

    def charge(self, tenant: str, tokens: float) -> None:
        """Nothing: a query's own key counts."""

    def __len__(self) -> int:
        """Return how many wait."""
        return len(self._here)

    def __iter__(self) -> Iterator[Ticket[Item]]:
        """Iterate in any order."""
        return iter(self._here)


class FairLane(Generic[Item]):
    """The tenant that was served the least; within a tenant who came first."""

    def __init__(self) -> None:
        self._sent_back: TenantLine[Item] = TenantLine()
        self._lines: dict[str, TenantLine[Item]] = {}
        self._work: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []  # work of tenants that wait; old figures are skipped
        self._length = 0
        self._last = ""

    def push(self, ticket: Ticket[Item]) -> None:
        """Add a ticket; a tenant that was away is lifted to those that wait."""
        ticket.key = 0.0  # by arrival, where it is compared with one of another lane
        self._length += 1
        if ticket.number < 0:
            self._sent_back.push(ticket)
            return
        tenant = ticket.wish.tenant
        line = self._lines.get(tenant)
        if line is None:
            work = max(self._work.get(tenant, 0.0), self._least())
            line = self._lines[tenant] = TenantLine()
            self._note(tenant, work)
        line.push(ticket)

    def peek(self) -> Ticket[Item] | None:
        """Return the first ticket of the tenant with the least work; sent-back ones come before all."""
        if self._sent_back:
            return self._sent_back.peek()
        least = self._top()
        return None if least is None else self._lines[least[1]].peek()

    def drop(self, ticket: Ticket[Item]) -> None:
        """Remove a ticket."""
        self._length -= 1
        if ticket.number < 0:
            self._sent_back.drop(ticket)
            return
        line = self._lines[ticket.wish.tenant]
        line.drop(ticket)
        if not line:
            self._last = ticket.wish.tenant
            del self._lines[self._last]
            self._forget_some()

    def charge(self, tenant: str, tokens: float) -> None:
        """Add to a tenant's work."""
        work = self._work.get(tenant)
        self._note(tenant, (self._least() if work is None else work) + tokens)
        self._forget_some()

    def _note(self, tenant: str, work: float) -> None:
        self._work[tenant] = work
        if tenant in self._lines:
            heapq.heappush(self._heap, (work, tenant))
            if len(self._heap) > _FEW and len(self._heap) > 4 * len(self._lines):
                self._heap = [(self._work[waits], waits) for waits in self._lines]
                heapq.heapify(self._heap)

    def _top(self) -> tuple[float, str] | None:
        while self._heap:
            work, tenant = self._heap[0]
            if tenant in self._lines and self._work[tenant] == work:
                return self._heap[0]
            heapq.heappop(self._heap)
        return None

    def _least(self) -> float:
        """Return the least work among those that wait; while nobody does, that of who stopped waiting last.

        A newcomer starts beside it, or it would be owed all that others ever had.
        """
        top = self._top()
        return top[0] if top is not None else self._work.get(self._last, 0.0)

    def _forget_some(self) -> None:
        """Keep memory bounded: of tenants that do not wait the least served are forgotten (they lose nothing)."""
        if len(self._work) <= _MAX_TENANTS:
            return
        kept = {self._last, *self._lines}
        idle = sorted((work, tenant) for tenant, work in self._work.items() if tenant not in kept)
        for _, tenant in idle[: _MAX_TENANTS // 10]:
            del self._work[tenant]

    def __len__(self) -> int:
        """Return how many wait."""
        return self._length

    def __iter__(self) -> Iterator[Ticket[Item]]:
        """Iterate tenant by tenant."""
        yield from self._sent_back
        for line in self._lines.values():
            yield from line


def lane(order: Order, rate: float) -> "Lane[Item]":
    """Return an empty lane of an order."""
    if order is Order.FAIR:
        return FairLane()
    return KeyLane(rate if order is Order.SHORTEST_REMAINING else None)
