"""GPUs for all pools of a deployment: who gets them when they do not suffice.

| order | what is granted                                                        |
|-------|------------------------------------------------------------------------|
| 1     | each pool's minimum                                                    |
| 2     | what runs already and is still wanted: no pool shrinks for another     |
| 3     | growth                                                                 |

Within each step pools that serve Complex come first; pools of one class share by weight. A pool without GPUs gets what
it wants. A pool that somebody else sizes keeps what it has, off the top.
"""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from autoglm_api.spec import QueryClass

_ORDER: Final = (QueryClass.COMPLEX, QueryClass.SIMPLE, QueryClass.EMBEDDING)


class Ask(NamedTuple):
    """What one pool wants."""

    pool: str
    serves: QueryClass
    weight: int
    gpus_per_replica: int
    current: int
    minimum: int
    wanted: int


def within_budget(asks: Sequence[Ask], gpus: int) -> dict[str, int]:
    """Return the replicas that each pool gets out of `gpus`; never more than it wants.

    >>> large = Ask("large", QueryClass.COMPLEX, 1, 4, current=1, minimum=1, wanted=3)
    >>> light = Ask("light", QueryClass.SIMPLE, 1, 1, current=2, minimum=1, wanted=9)
    >>> within_budget([light, large], 15)
    {'light': 3, 'large': 3}
    """
    granted = {ask.pool: 0 if ask.gpus_per_replica else ask.wanted for ask in asks}
    using = [ask for ask in asks if ask.gpus_per_replica]
    for goal in (_minimum, _kept, _wanted):
        for serves in _ORDER:
            gpus = _share([ask for ask in using if ask.serves is serves], goal, granted, gpus)
    return granted


def _minimum(ask: Ask) -> int:
    return min(ask.minimum, ask.wanted)


def _kept(ask: Ask) -> int:
    return min(ask.current, ask.wanted)


def _wanted(ask: Ask) -> int:
    return ask.wanted


def _share(asks: Sequence[Ask], goal: Callable[[Ask], int], granted: dict[str, int], gpus: int) -> int:
    """Grant replicas one at a time to the pool that has least for its weight; return the GPUs that are left."""
    while True:
        lacking = [ask for ask in asks if granted[ask.pool] < goal(ask) and ask.gpus_per_replica <= gpus]
        if not lacking:
            return gpus
        poorest = min(lacking, key=lambda ask: (granted[ask.pool] * ask.gpus_per_replica / ask.weight, ask.pool))
        granted[poorest.pool] += 1
        gpus -= poorest.gpus_per_replica
