"""Room for replicas on the cluster's nodes, and sizes that fill whole nodes.

A node is paid for as a whole: where an autoscaler of nodes adds and removes them for one pool, a size between two whole
nodes costs as much as the next one.
"""

from dataclasses import dataclass
from typing import NamedTuple


class Tolerance(NamedTuple):
    """A taint that the pods accept; an empty key or effect matches every one."""

    key: str
    value: str | None
    """None: any value."""
    effect: str


@dataclass(frozen=True, slots=True)
class Placement:
    """On which nodes a pool's replicas may run."""

    gpus: int
    labels: tuple[tuple[str, str], ...] = ()
    tolerances: tuple[Tolerance, ...] = ()


@dataclass(frozen=True, slots=True)
class Room:
    """The nodes on which a pool may run, and what is free on them. Only GPUs are counted."""

    fits: int
    """Further replicas that the nodes have GPUs for."""
    per_node: int
    """Replicas that one node of the group holds when it is empty; 0: none."""
    group: str
    """Name of the group that most of the nodes belong to; empty: they carry no group's label."""
    nodes: int
    free_gpus: int
    all_gpus: int

    @property
    def words(self) -> str:
        """Say it in a sentence."""
        if not self.nodes:
            return "no node that is there has the labels that the pool asks for and only taints that it tolerates"
        where = f"node group {self.group}" if self.group else "nodes for the pool"
        free = f"{where}: {self.free_gpus} of {self.all_gpus} GPUs free on {self.nodes} nodes"
        return f"{free}, none of which holds a replica even when empty" if not self.per_node else free


def whole_nodes(size: int, current: int, waiting: int, room: Room, maximum: int) -> int:
    """Return a size that leaves no node half used: more than `size`, but never beyond `maximum` or a shrinking pool's.

    What fits on the nodes that are there is not rounded; only what needs a new node is.

    >>> room = Room(fits=1, per_node=4, group="a100", nodes=2, free_gpus=1, all_gpus=8)
    >>> whole_nodes(9, current=7, waiting=0, room=room, maximum=20), whole_nodes(5, 8, 0, room, 20)
    (12, 8)
    """
    if room.per_node <= 1:
        return size
    if size < current:
        return min(current, _rounded(size, room.per_node))
    there = current - waiting + room.fits
    return size if size <= there else min(max(size, maximum), there + _rounded(size - there, room.per_node))


def _rounded(size: int, step: int) -> int:
    return -(-size // step) * step
