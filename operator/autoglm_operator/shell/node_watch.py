"""Looks at the cluster's nodes for pools that need to know them: those that wait for room, and those of whole nodes.

A look lists all nodes and all pods, so it is taken only for such pools, and not often. An operator that may not list
them (one that is installed for some namespaces only) says so once, and pools are sized without.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from autoglm_api.spec import Granularity
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.core.nodes import Node, nodes_of, room_for
from autoglm_operator.scaling.model import PoolTarget
from autoglm_operator.scaling.room import Placement, Room
from autoglm_operator.shell.api import APIError, KubernetesAPI
from autoglm_operator.shell.resources import NODES, PODS

_log: Final = logging.getLogger(__name__)
EVERY_SECONDS: Final = 15.0

Targets = Mapping[ObjectKey, Mapping[str, PoolTarget]]


class NodeWatch:
    """The nodes at the last look, and the room that pools find on them."""

    def __init__(self, api: KubernetesAPI, every_seconds: float = EVERY_SECONDS) -> None:
        self._api = api
        self._every_seconds = every_seconds
        self._nodes: Sequence[Node] | None = None
        self._rooms: dict[Placement, Room | None] = {}
        self._wanted = asyncio.Event()
        self._problem = ""

    async def run(self) -> None:
        """Look as long as some pool wants to know, until cancelled."""
        while True:
            await self._wanted.wait()
            await self.look()
            await asyncio.sleep(self._every_seconds)

    async def look(self) -> None:
        """Look at all nodes and pods once; what cannot be seen is not known."""
        self._wanted.clear()
        self._rooms.clear()
        try:
            nodes, pods = await asyncio.gather(self._api.list(NODES, None), self._api.list(PODS, None))
        except APIError as error:
            self._nodes = None
            self._tell(f"pools are sized without a look at the nodes: {error.sentence}")
            return
        self._nodes = nodes_of(nodes, pods)
        self._tell("")

    def placed(self, targets: Targets) -> Targets:
        """Return the pools with the room that they find, for those that need to know it."""
        return {key: {name: self._placed(one) for name, one in pools.items()} for key, pools in targets.items()}

    def _placed(self, target: PoolTarget) -> PoolTarget:
        if not wants_room(target):
            return target
        self._wanted.set()
        return target if self._nodes is None else replace(target, room=self._room(target.placement, self._nodes))

    def _room(self, placement: Placement, nodes: Sequence[Node]) -> Room | None:
        if placement not in self._rooms:
            self._rooms[placement] = room_for(placement, nodes)
        return self._rooms[placement]

    def _tell(self, problem: str) -> None:
        if problem and problem != self._problem:
            _log.warning("%s", problem)
        self._problem = problem


def wants_room(target: PoolTarget) -> bool:
    """Tell whether the nodes matter for a pool: it has GPUs, and waits for room or is sized by whole nodes."""
    by_nodes = target.scaling.granularity is Granularity.NODE
    return target.placement.gpus > 0 and (by_nodes or target.unschedulable > 0)
