"""The order in which waiting queries are served: by tier, then by arrival. Pure: time is an argument (seconds)."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Tier(StrEnum):
    """Queue priority; tiers are served in the order of this list."""

    NORMAL = "Normal"


@dataclass(slots=True, eq=False)
class Ticket(Generic[Item]):
    """A place in the queue."""

    item: Item
    deadline: float
    tier: Tier
    gone: bool = False


class WaitingLine(Generic[Item]):
    """A queue with deadlines. Places can be given up at any time; nobody is served after the deadline."""

    __slots__ = ("_length", "_lines")

    def __init__(self) -> None:
        # Ordered sets: whoever leaves is found at once, wherever in the line.
        self._lines: dict[Tier, OrderedDict[Ticket[Item], None]] = {tier: OrderedDict() for tier in Tier}
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def join(self, item: Item, deadline: float, *, tier: Tier = Tier.NORMAL, front: bool = False) -> Ticket[Item]:
        """Add an item; `front` is for one that has waited before and was sent back through no fault of its own."""
        ticket = Ticket(item, deadline, tier)
        line = self._lines[tier]
        line[ticket] = None
        if front:
            line.move_to_end(ticket, last=False)
        self._length += 1
        return ticket

    def leave(self, ticket: Ticket[Item]) -> None:
        """Give up a place; nothing happens when the ticket was served or has left already."""
        if ticket.gone:
            return
        ticket.gone = True
        self._length -= 1
        del self._lines[ticket.tier][ticket]

    def next(self, now: float) -> Item | None:
        """Serve the first item whose deadline has not passed; None when there is none."""
        for ticket in self._tickets():
            if ticket.deadline > now:
                self.leave(ticket)
                return ticket.item
        return None

    def expired(self, now: float) -> list[Item]:
        """Remove and return the items whose deadline has passed."""
        late = [ticket for ticket in self._tickets() if ticket.deadline <= now]
        for ticket in late:
            self.leave(ticket)
        return [ticket.item for ticket in late]

    def clear(self) -> list[Item]:
        """Remove and return everything."""
        everything = list(self._tickets())
        for ticket in everything:
            self.leave(ticket)
        return [ticket.item for ticket in everything]

    def _tickets(self) -> Iterator[Ticket[Item]]:
        for line in self._lines.values():
            yield from line
