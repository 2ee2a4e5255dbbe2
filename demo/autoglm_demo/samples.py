"""What the cluster looked like at a moment, and figures over many moments."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolSample:
    """One pool's size as its status tells."""

    pool: str
    ready: int
    desired: int


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at a deployment, `at` seconds after its phase began.

    `nodes` is the number of fake GPU nodes that carry one of its pods; `in_flight` counts the client's open queries.
    """

    at: float
    pools: tuple[PoolSample, ...]
    nodes: int = 0
    in_flight: int = 0

    def ready(self, pool: str) -> int:
        """Ready replicas of a pool; 0 if it is not there."""
        return next((one.ready for one in self.pools if one.pool == pool), 0)

    def desired(self, pool: str) -> int:
        """Desired replicas of a pool; 0 if it is not there."""
        return next((one.desired for one in self.pools if one.pool == pool), 0)


def pool_names(samples: Iterable[Sample]) -> tuple[str, ...]:
    """Pools that were seen, in order of appearance."""
    return tuple(dict.fromkeys(one.pool for sample in samples for one in sample.pools))


def most_ready(samples: Iterable[Sample], pool: str) -> int:
    """Largest number of ready replicas that a pool reached."""
    return max((sample.ready(pool) for sample in samples), default=0)


def seconds_until(samples: Iterable[Sample], pool: str, ready: int) -> float | None:
    """When a pool first had that many ready replicas; None if never."""
    return next((sample.at for sample in samples if sample.ready(pool) >= ready), None)


def settled(samples: Sequence[Sample], pool: str, size: int) -> bool:
    """Whether the last look shows a pool at exactly this size, wanted and ready."""
    return bool(samples) and samples[-1].ready(pool) == samples[-1].desired(pool) == size
