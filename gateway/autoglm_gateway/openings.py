"""The replicas of a pool that have a free slot, so that a choice costs the same among ten replicas and a thousand.

Pure: time is an argument (seconds).
"""

from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice
from typing import Final

from autoglm_gateway.balance import Replica, least_work

LOOKED_AT: Final = 32
"""So many candidates are compared: more of them cost more than their better choice is worth."""


class Openings:
    """Replicas with fewer queries than the cap; those that were not looked at for the longest time come first."""

    def __init__(self) -> None:
        self._cap = 0
        self._open: OrderedDict[Replica, None] = OrderedDict()

    def __len__(self) -> int:
        """Return how many have a free slot, whether or not they may be used now."""
        return len(self._open)

    def reset(self, replicas: Iterable[Replica], cap: int) -> None:
        """Take over the ready replicas and how many queries each may have; those that stay keep their order."""
        self._cap = cap
        wanted = dict.fromkeys(replica for replica in replicas if replica.in_flight < cap)
        kept = [replica for replica in self._open if replica in wanted]
        self._open = OrderedDict.fromkeys([*kept, *wanted])

    def changed(self, replica: Replica) -> None:
        """Note that a ready replica has a query more or less than before."""
        if replica.in_flight < self._cap:
            self._open.setdefault(replica)
        else:
            self._open.pop(replica, None)

    def any(self, now: float) -> bool:
        """Whether one more query may be sent now: shunned replicas have free slots that nobody may use."""
        cap = self._cap
        return any(replica.has_room(cap, now) for replica in self._open)

    def best(self, now: float, length: int | None = None) -> Replica | None:
        """Return the replica with the least predicted work left; among many, of the next 32 that may be used."""
        if len(self._open) <= LOOKED_AT:
            return least_work(self._open, self._cap, now, length)
        cap = self._cap
        some = list(islice((replica for replica in self._open if replica.has_room(cap, now)), LOOKED_AT))
        for replica in some:
            self._open.move_to_end(replica)
        return least_work(some, cap, now, length)
