"""A place in the queue and what it was asked for. Pure: times are seconds of any one origin."""

from dataclasses import dataclass
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


@dataclass(slots=True, init=False)  # decision 21
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

    def __init__(
        self,
        arrived: float,
        deadline: float,
        tier: Tier = Tier.NORMAL,
        task: str = "",
        tenant: str = "",
        tokens: float = 0.0,
        jump: float = 0.0,
        size: int = 0,
    ) -> None:
        self.arrived = arrived
        self.deadline = deadline
        self.tier = tier
        self.task = task
        self.tenant = tenant
        self.tokens = tokens
        self.jump = jump
        self.size = size


class Ticket(Generic[Item]):
    """A place in the queue: for what, and what it was asked for."""

    __slots__ = ("gone", "item", "key", "lane", "number", "promoted", "tier", "wish")

    def __init__(self, item: Item, wish: Wish, number: int, tier: Tier, lane: str = "") -> None:
        """`number` is the order of joining; smaller than all others for one that was sent back."""
        self.item = item
        self.wish = wish
        self.number = number
        self.tier = tier
        self.lane = lane
        self.gone = False
        self.promoted = 0
        self.key = 0.0
