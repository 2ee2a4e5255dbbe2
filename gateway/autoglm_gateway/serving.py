"""What a pool's queue is told: a query's need, and the policy that the resource gives. Pure."""

from dataclasses import dataclass

from autoglm_api.queue import Order, Queue
from autoglm_gateway.queueing import Policy, TaskType, Tier, Wish

URGENT_MEMORY_SECONDS = 600.0
SMALL_POOL_MEMORY_SECONDS = 60.0
"""Of a pool so small that one slot is a third or half of it."""
MAX_WAITING_BYTES = 64 << 20
"""Of the bodies that wait before one pool. One query may always wait, however large."""
_PERCENT = 100
_ENOUGH_SLOTS = 4


@dataclass(slots=True, init=False)  # decision 21
class Need:
    """What a query wants of a pool: its place in the queue, its predicted answer, its prompt's length and prefix."""

    wish: Wish
    output_tokens: int = 0
    length: int = 0
    prefix: int = 0
    """Place of its system prompt on the ring of replicas; 0: none."""

    def __init__(
        self,
        wish: Wish,
        output_tokens: int = 0,
        length: int = 0,
        prefix: int = 0,
    ) -> None:
        self.wish = wish
        self.output_tokens = output_tokens
        self.length = length
        self.prefix = prefix


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
    """Slots that only queries of the tier Urgent may take, while such queries come at all.

    | slots     | kept free                                             | after an Urgent query, for |
    |-----------|-------------------------------------------------------|----------------------------|
    | 1         | none                                                  |                            |
    | 2 or 3    | one, because the percentage rounded down says none    | one minute                 |
    | 4 or more | the percentage, rounded down, but at least one        | ten minutes                |

    So much follows: no other query begins that would leave fewer slots free. Once as many of those that were there
    before have ended, an Urgent query waits for nobody, as long as fewer Urgent ones than kept slots are in flight.
    """

    __slots__ = ("_seen", "percent")

    def __init__(self, percent: int) -> None:
        self.percent = percent
        self._seen = float("-inf")

    def saw_urgent(self, now: float) -> None:
        """Hold the reserve from now on, for its time."""
        self._seen = now

    def slots(self, of: int, now: float) -> int:
        """Return how many of so many slots only Urgent may take now."""
        since = now - self._seen
        if since >= URGENT_MEMORY_SECONDS or not self.percent:
            return 0
        kept = of * self.percent // _PERCENT
        small = of < _ENOUGH_SLOTS
        if kept or of <= 1 or (small and since >= SMALL_POOL_MEMORY_SECONDS):
            return kept
        return 1
