"""What a pool's queue is told: a query's need, and the policy that the resource gives. Pure."""

from dataclasses import dataclass

from autoglm_api.queue import Order, Queue
from autoglm_gateway.queueing import Policy, TaskType, Tier, Wish

URGENT_MEMORY_SECONDS = 600.0
MAX_WAITING_BYTES = 64 << 20
"""Of the bodies that wait before one pool. One query may always wait, however large."""
_PERCENT = 100
_ENOUGH_SLOTS = 4


@dataclass(slots=True)  # not frozen: that costs a call for every field of every query
class Need:
    """What a query wants of a pool: its place in the queue, its predicted answer, its prompt's length and prefix."""

    wish: Wish
    output_tokens: int = 0
    length: int = 0
    prefix: int = 0
    """Place of its system prompt on the ring of replicas; 0: none."""


def policy_of(queue: Queue, *, trusted: bool = True) -> Policy:
    """Return how the queue is served; without trust in predictions ShortestRemaining falls back to Arrival."""
    shortest = queue.order is Order.SHORTEST_REMAINING
    return Policy(
        tiers=queue.tiers,
        task_types=tuple(TaskType(one.name, one.coefficient, one.tier) for one in queue.task_types),
        order=Order.ARRIVAL if shortest and not trusted else queue.order,
        batch_percent=queue.batch_reserve_percent,
        max_wait={tier: float(queue.max_wait_seconds.of(tier)) for tier in Tier},
    )


class Reserve:
    """Slots that are kept free for Urgent, while Urgent queries come at all."""

    __slots__ = ("_until", "percent")

    def __init__(self, percent: int) -> None:
        self.percent = percent
        self._until = float("-inf")

    def saw_urgent(self, now: float) -> None:
        """Hold the reserve for the next ten minutes."""
        self._until = now + URGENT_MEMORY_SECONDS

    def slots(self, of: int, now: float) -> int:
        """Return how many of so many slots only Urgent may take now.

        | slots         | kept free                                                             |
        |---------------|-----------------------------------------------------------------------|
        | fewer than 4  | the percentage, rounded down: one slot would be too much of the pool  |
        | 4 or more     | the percentage, rounded down, but at least one where it is above zero |
        """
        if now >= self._until or not self.percent:
            return 0
        return max(of * self.percent // _PERCENT, 1 if of >= _ENOUGH_SLOTS else 0)
