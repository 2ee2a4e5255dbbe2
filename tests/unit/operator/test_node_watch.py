"""When the nodes are looked at, and what pools are told."""

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from autoglm_api.spec import Granularity, Scaling
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import PoolTarget
from autoglm_operator.scaling.room import Placement
from autoglm_operator.shell.api import RefusedError
from autoglm_operator.shell.node_watch import NodeWatch, wants_room
from autoglm_operator.shell.resources import NODES, Resource

KEY = ObjectKey("shop", "assistant")
READY = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {"nvidia.com/gpu": "4"}}
NODE = {"metadata": {"name": "a"}, "spec": {}, "status": READY}


@dataclass
class Cluster:
    """An API server with nodes, that may refuse to show them."""

    nodes: list[dict[str, Any]] = field(default_factory=lambda: [NODE])
    refuses: bool = False
    looks: int = 0

    async def list(self, resource: Resource, namespace: str | None) -> list[dict[str, Any]]:
        assert namespace is None
        if self.refuses:
            raise RefusedError(403, "nodes is forbidden")
        self.looks += resource is NODES
        return self.nodes if resource is NODES else []


def target(gpus: int = 1, unschedulable: int = 0, *, by_nodes: bool = False) -> PoolTarget:
    scaling = Scaling(granularity=Granularity.NODE if by_nodes else Granularity.REPLICA)
    return PoolTarget(scaling, 1, 1, rolling_out=False, placement=Placement(gpus), unschedulable=unschedulable)


@pytest.mark.parametrize(
    ("pool", "wants"),
    [
        (target(), False),
        (target(unschedulable=1), True),
        (target(by_nodes=True), True),
        (target(gpus=0, unschedulable=1, by_nodes=True), False),
    ],
)
def test_only_pools_that_wait_or_fill_nodes_want_to_know(pool: PoolTarget, *, wants: bool) -> None:
    assert wants_room(pool) == wants


async def test_pools_are_told_their_room_after_a_look() -> None:
    watch = NodeWatch(Cluster())  # type: ignore[arg-type]
    targets = {KEY: {"light": target(by_nodes=True), "large": target()}}
    assert watch.placed(targets)[KEY]["light"].room is None
    await watch.look()
    placed = watch.placed(targets)[KEY]
    assert placed["large"].room is None
    assert placed["light"].room is not None
    assert placed["light"].room.fits == 4
    assert watch.placed(targets)[KEY]["light"].room is placed["light"].room


async def test_who_may_not_look_says_so_once_and_knows_nothing(caplog: pytest.LogCaptureFixture) -> None:
    cluster = Cluster()
    watch = NodeWatch(cluster)  # type: ignore[arg-type]
    await watch.look()
    cluster.refuses = True
    with caplog.at_level(logging.WARNING):
        await watch.look()
        await watch.look()
    assert [record.getMessage() for record in caplog.records] == [
        "pools are sized without a look at the nodes: nodes is forbidden"
    ]
    assert watch.placed({KEY: {"light": target(by_nodes=True)}})[KEY]["light"].room is None


async def test_nobody_looks_before_somebody_wants_to_know() -> None:
    cluster = Cluster()
    watch = NodeWatch(cluster, every_seconds=0)  # type: ignore[arg-type]
    task = asyncio.create_task(watch.run())
    watch.placed({KEY: {"light": target()}})
    for _ in range(5):
        await asyncio.sleep(0)
    assert cluster.looks == 0
    watch.placed({KEY: {"light": target(by_nodes=True)}})
    for _ in range(10):
        await asyncio.sleep(0)
    assert cluster.looks == 1
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
