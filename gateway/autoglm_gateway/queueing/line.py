"""The queue before one pool: tickets in lanes, turns between lanes, promotion and deadlines. Pure."""

import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Generic

from autoglm_api.keys import Tier
from autoglm_gateway.queueing.orders import Lane, lane
from autoglm_gateway.queueing.ticket import Item, Order, TaskType, Ticket, TierPolicy, Wish
from autoglm_gateway.queueing.turns import StrictTurns, Turns, WeightedTurns, coefficients

AGEING_TOKENS_PER_SECOND: Final = 50.0
"""A query of 1,000 tokens can be overtaken only by what arrives within 20 s after it."""
_FEW: Final = 64
# Who was promoted to Urgent takes turns with those who asked for it, but has no part in what is reserved for them.
_PROMOTED: Final = "promoted"
_PLACES: Final = {tier: place for place, tier in enumerate(Tier)}
_MAX_WAIT: Final = {Tier.URGENT: 5.0, Tier.INTERACTIVE: 30.0, Tier.NORMAL: 60.0, Tier.BATCH: 3600.0}


@dataclass(frozen=True, slots=True)
class Policy:
    """How the queue is served."""

    tiers: TierPolicy = TierPolicy.STRICT
    task_types: tuple[TaskType, ...] = ()
    order: Order = Order.ARRIVAL
    batch_percent: int = 5
    ageing: float = AGEING_TOKENS_PER_SECOND
    max_wait: Mapping[Tier, float] = field(default_factory=lambda: dict(_MAX_WAIT))
    """Seconds after which a query is promoted to the tier above."""


class WaitingLine(Generic[Item]):
    """A queue with tiers and deadlines. Places can be given up at any time; nobody is served after the deadline."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.promotions = 0
        self.size = 0
        """Bytes of all that wait."""
        self._length = 0
        self._by_tenant: Counter[str] = Counter()
        self._number = 0
        self._front = 0
        self._late: list[Item] = []
        self._adopt(policy or Policy())

    def _adopt(self, policy: Policy) -> None:
        self.policy = policy
        self._lanes: dict[str, Lane[Item]] = {}
        self._times: list[tuple[float, int, int, Ticket[Item]]] = []
        self._waiting = dict.fromkeys(Tier, 0)
        self._tasks = {one.name for one in policy.task_types}
        self._weighted = policy.tiers is TierPolicy.WEIGHTED_ROUND_ROBIN and bool(policy.task_types)
        turns: Turns = StrictTurns(policy.batch_percent)
        self._urgent_lanes = frozenset[str]({Tier.URGENT})
        if self._weighted:
            self._urgent_lanes = frozenset(one.name for one in policy.task_types if one.tier is Tier.URGENT)
            turns = WeightedTurns(coefficients(policy.task_types))
        self._turns = turns

    def __len__(self) -> int:
        """Return how many wait."""
        return self._length

    def waiting(self) -> dict[Tier, int]:
        """Return how many wait in each tier."""
        return dict(self._waiting)

    def serve_by(self, policy: Policy) -> None:
        """Take over another policy; everybody keeps the place that the new policy gives them."""
        if policy == self.policy:
            return
        tickets = sorted(self._tickets(), key=lambda ticket: ticket.number)
        self._adopt(policy)
        for ticket in tickets:
            self._place(ticket)

    def join(self, item: Item, wish: Wish, *, front: bool = False) -> Ticket[Item]:
        """Add an item; `front` is for one that has waited before and was sent back through no fault of its own."""
        if front:
            self._front -= 1
        else:
            self._number += 1
        ticket = Ticket(item, wish, self._front if front else self._number, wish.tier)
        self._place(ticket)
        self._length += 1
        self._by_tenant[wish.tenant] += 1
        self.size += wish.size
        return ticket

    def leave(self, ticket: Ticket[Item]) -> None:
        """Give up a place; nothing happens when the ticket was served or has left already."""
        if ticket.gone:
            return
        ticket.gone = True
        self._length -= 1
        self._by_tenant[ticket.wish.tenant] -= 1
        if not self._by_tenant[ticket.wish.tenant]:
            del self._by_tenant[ticket.wish.tenant]
        self.size -= ticket.wish.size
        self._unplace(ticket)
        if len(self._times) > _FEW and len(self._times) > 2 * self._length:
            self._times = [entry for entry in self._times if self._is_due_of(entry)]
            heapq.heapify(self._times)

    def displaced_by(self, wish: Wish) -> Item | None:
        """Remove and return the item that makes place for a newcomer in a full queue; None where the newcomer must go.

        So no tenant can keep others out: it is the newest of the least urgent ones of the tenant with the most waiting,
        if that tenant still has no fewer than the newcomer's afterwards, and nobody more urgent has to go.
        """
        counts = self._by_tenant
        most = max(counts.values(), default=0)
        if most <= counts[wish.tenant] + 1:
            return None
        theirs = [ticket for ticket in self._tickets() if counts[ticket.wish.tenant] == most and ticket.number >= 0]
        worst = max(theirs, key=lambda ticket: (_PLACES[ticket.tier], ticket.number), default=None)
        if worst is None or _PLACES[worst.tier] < _PLACES[wish.tier]:
            return None
        self.leave(worst)
        return worst.item

    def next(self, now: float, *, urgent_only: bool = False) -> Item | None:
        """Serve the next item whose deadline has not passed; None when there is none.

        `urgent_only` are those who asked for Urgent, without those who were promoted.
        """
        for name in self._lanes:
            self._set_aside_late(name, now)
        waiting = self._names(urgent_only=urgent_only)
        if not waiting:
            return None
        name = self._turns.pick(waiting)
        ticket = self._first(name, urgent_only=urgent_only)
        self._turns.served(name, waiting)
        self.leave(ticket)
        if ticket.number >= 0:  # one that was sent back was charged the first time
            self._lanes[ticket.lane].charge(ticket.wish.tenant, ticket.wish.tokens)
        return ticket.item

    def _first(self, name: str, *, urgent_only: bool) -> Ticket[Item]:
        """Return the first one of a tier or task type that waits."""
        lanes = [self._lanes.get(name), self._lanes.get(_PROMOTED) if name == Tier.URGENT and not urgent_only else None]
        firsts = [first for lane in lanes if lane is not None and (first := lane.peek()) is not None]
        return min(firsts, key=lambda ticket: (ticket.key, ticket.number))

    def charge(self, wish: Wish, tokens: float) -> None:
        """Correct a tenant's work after the fact: the real tokens of a query less the predicted ones."""
        self._lane(self._lane_name(wish.tier, wish.task)).charge(wish.tenant, tokens)

    def expired(self, now: float) -> list[Item]:
        """Promote who has waited long in a tier; remove and return the items whose deadline has passed."""
        late, self._late = self._late, []
        while self._times and self._times[0][0] <= now:
            at, _, _, ticket = entry = heapq.heappop(self._times)
            if not self._is_due_of(entry):
                continue
            if ticket.wish.deadline <= now:
                self.leave(ticket)
                late.append(ticket.item)
            else:
                self._promote(ticket, at)
        return late

    def clear(self) -> list[Item]:
        """Remove and return everything."""
        everything = sorted(self._tickets(), key=lambda ticket: ticket.number)
        for ticket in everything:
            self.leave(ticket)
        late, self._late = self._late, []
        return [*late, *(ticket.item for ticket in everything)]

    # --- places -----------------------------------------------------------------------------------------
    def _place(self, ticket: Ticket[Item], since: float | None = None) -> None:
        promoted = not self._weighted and ticket.tier is Tier.URGENT and ticket.wish.tier is not Tier.URGENT
        ticket.lane = _PROMOTED if promoted else self._lane_name(ticket.tier, ticket.wish.task)
        self._lane(ticket.lane).push(ticket)
        self._waiting[ticket.tier] += 1
        self._watch(ticket, ticket.wish.arrived if since is None else since)

    def _unplace(self, ticket: Ticket[Item]) -> None:
        self._lanes[ticket.lane].drop(ticket)
        self._waiting[ticket.tier] -= 1

    def _watch(self, ticket: Ticket[Item], since: float) -> None:
        """Note when something happens to the ticket by itself: promotion or its deadline, whichever is first."""
        ends = ticket.wish.deadline
        if not self._weighted and ticket.tier.above is not None:
            ends = min(ends, since + self.policy.max_wait[ticket.tier])
        heapq.heappush(self._times, (ends, ticket.number, ticket.promoted, ticket))

    def _is_due_of(self, entry: tuple[float, int, int, Ticket[Item]]) -> bool:
        return not entry[3].gone and entry[2] == entry[3].promoted

    def _promote(self, ticket: Ticket[Item], at: float) -> None:
        above = ticket.tier.above
        if above is None:
            raise RuntimeError("nothing is above Urgent")
        self._unplace(ticket)
        ticket.tier = above
        ticket.promoted += 1
        self.promotions += 1
        self._place(ticket, since=at)

    # --- lanes ------------------------------------------------------------------------------------------
    def _lane(self, name: str) -> Lane[Item]:
        place = self._lanes.get(name)
        if place is None:
            place = self._lanes[name] = lane(self.policy.order, self.policy.ageing)
        return place

    def _lane_name(self, tier: Tier, task: str) -> str:
        if not self._weighted:
            return tier
        return task if task in self._tasks else self.policy.task_types[0].name

    def _names(self, *, urgent_only: bool) -> list[str]:
        """Return what waits: task types, or tiers."""
        if self._weighted:
            named = [one.name for one in self.policy.task_types if self._lanes.get(one.name)]
        else:
            named = [tier for tier in Tier if self._lanes.get(tier)]
        if urgent_only:
            return [name for name in named if name in self._urgent_lanes]
        return named if Tier.URGENT in named or not self._lanes.get(_PROMOTED) else [Tier.URGENT, *named]

    def _set_aside_late(self, name: str, now: float) -> None:
        """Take those whose deadline has passed off the front of a lane; `expired` hands them out."""
        first = self._lanes[name].peek()
        while first is not None and first.wish.deadline <= now:
            self.leave(first)
            self._late.append(first.item)
            first = self._lanes[name].peek()

    def _tickets(self) -> Iterator[Ticket[Item]]:
        for place in self._lanes.values():
            yield from place
