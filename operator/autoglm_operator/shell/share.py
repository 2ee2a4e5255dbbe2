"""A pool's part of what is offered to its class. Pure."""

from collections.abc import Mapping
from typing import NamedTuple

from autoglm_operator.scaling.model import PoolTarget
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Reading


class Share(NamedTuple):
    """`weight` of `total`."""

    weight: int
    total: int

    def of(self, reading: Reading) -> Reading:
        """Return the part of a reading that the pool takes."""
        match reading:
            case Fresh():
                return Fresh(self._part(reading.milli), reading.source)
            case AtLeast():
                return AtLeast(self._part(reading.milli), reading.problem, reading.detail, reading.source)
            case NoData():
                return reading

    def _part(self, milli: int) -> int:
        return -(-milli * self.weight // self.total)


ALL = Share(1, 1)


def share_of(pool: str, pools: Mapping[str, PoolTarget]) -> Share:
    """Return a pool's share of its class, by weight; a sleeping pool takes none while another one is awake.

    The gateway routes the same way: pools without a replica come last.
    """
    serving = {name: target for name, target in pools.items() if target.serves is pools[pool].serves}
    awake = {name: target for name, target in serving.items() if target.current > 0} or serving
    if pool not in awake:
        return Share(0, 1)
    return Share(awake[pool].weight, sum(target.weight for target in awake.values()))
