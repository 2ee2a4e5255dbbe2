"""A place in the queue and what it was asked for. Pure: times are seconds of any one origin."""

from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from autoglm_api.keys import Tier
from autoglm_api.queue import Order, TierPolicy

__all__ = ["Item", "Order", "TaskType", "Ticket", "Tier", "TierPolicy", "Wish"]

Item = TypeVar("Item")


class TaskType(NamedTuple):
    """A kind of work that shares the replicas by its coefficient."""

    name: str
    coefficient: int
    tier: Tier


@dataclass(slots=True)  # not frozen: that costs a call for every field of every query
class Wish:
    """What a query brings into the queue."""

    arrived: float
    deadline: float
    tier: Tier = Tier.NORMAL
    task: str = ""
    tenant: str = ""
    tokens: float = 0.0
    """Predicted work: prompt and output tokens."""
    jump: float = 0.0
    """Seconds by which the query counts as having arrived earlier (priority jump)."""
    size: int = 0
    """Bytes that are kept while it waits."""


@dataclass(slots=True, eq=False)
class Ticket(Generic[Item]):
    """A place in the queue."""

    item: Item
    wish: Wish
    number: int
    """Order of joining; smaller than all others for one that was sent back."""
    tier: Tier
    lane: str = ""
    gone: bool = False
    promoted: int = 0
    key: float = field(default=0.0)
