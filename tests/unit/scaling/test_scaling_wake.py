"""Between the ticks only pools that a query waits for are decided."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest
from prometheus_client import CollectorRegistry

from autoglm_api.spec import QueryClass
from autoglm_api.status import Reason
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import Load, PoolDecision, PoolTarget
from autoglm_operator.scaling.readings import Fresh, NoData, Problem
from autoglm_operator.shell.prometheus import PoolKey, PrometheusError, Telemetry, Wanted
from autoglm_operator.shell.scaling_loop import ScalingLoop
from autoglm_operator.shell.share import Share
from support.scaling_pools import scaling
from support.scaling_times import behavior, pods

KEY = ObjectKey("shop", "assistant")
FAST = behavior(up={"policies": [pods(100, 1)]})
WHY = NoData(Problem.TIMEOUT, "no reply")


def load(queued: int = 0, in_flight: int = 0) -> Load:
    zero = Fresh(0)
    return Load(Fresh(queued * 1000), Fresh(in_flight * 1000), zero, Fresh(queued * 1000), zero, zero)


@dataclass
class Gateways:
    """Answers for each pool, and Prometheus that is away."""

    loads: dict[str, Load] = field(default_factory=dict)

    async def read(self, now: datetime, wanted: Wanted) -> Telemetry:
        raise PrometheusError(WHY.problem, WHY.detail)

    async def ask(self, targets: Mapping[ObjectKey, Mapping[str, PoolTarget]], seconds: float) -> None:
        """Know everything already."""

    def load(self, key: PoolKey, target: PoolTarget, share: Share) -> Load:
        return self.loads[key.pool]


@dataclass
class World:
    pools: dict[str, PoolTarget]
    published: list[tuple[str, PoolDecision]] = field(default_factory=list)

    def targets(self) -> Mapping[ObjectKey, Mapping[str, PoolTarget]]:
        return {KEY: self.pools}

    def publish(self, _: ObjectKey, pool: str, decision: PoolDecision) -> None:
        self.published.append((pool, decision))

    @property
    def last(self) -> dict[str, tuple[int, Reason]]:
        found = {pool: (made.replicas, made.reason) for pool, made in self.published}
        self.published.clear()
        return found


def target(size: int, low: int = 0, **fields: object) -> PoolTarget:
    return PoolTarget(scaling(low, 10, FAST), size, size, rolling_out=False, **fields)  # type: ignore[arg-type]


def loop_of(gateways: Gateways, world: World) -> ScalingLoop:
    return ScalingLoop(gateways, world.targets, world.publish, 5, direct=gateways, registry=CollectorRegistry())


async def test_a_woken_pool_is_decided_and_its_neighbours_are_left_alone() -> None:
    world = World({"light": target(0), "large": target(2, low=1, serves=QueryClass.COMPLEX)})
    gateways = Gateways({"light": load(), "large": load(in_flight=12)})
    loop = loop_of(gateways, world)
    await loop.tick()
    assert set(world.last) == {"light", "large"}
    await loop.wake()
    assert world.last == {}
    gateways.loads["light"] = load(queued=1)
    await loop.wake()
    assert world.last == {"light": (1, Reason.WOKEN)}


async def test_what_the_neighbours_hold_is_not_given_away() -> None:
    limits = {"gpus_per_replica": 1, "gpu_budget": 5}
    world = World({"light": target(0, **limits), "large": target(5, low=1, serves=QueryClass.COMPLEX, **limits)})
    gateways = Gateways({"light": load(), "large": load(in_flight=30)})
    loop = loop_of(gateways, world)
    await loop.tick()
    gateways.loads["light"] = load(queued=1)
    await loop.wake()
    assert world.last["light"] == (0, Reason.GPU_BUDGET)


async def test_who_was_woken_while_the_tick_read_is_not_put_to_sleep_by_it() -> None:
    """The others of the deployment are decided by that tick as ever."""
    world = World({"light": target(0), "large": target(2, low=1, serves=QueryClass.COMPLEX)})
    gateways = Gateways({"light": load(), "large": load(in_flight=12)})
    loop = loop_of(gateways, world)
    await loop.tick()
    assert set(world.last) == {"light", "large"}
    loop._woken[KEY] = {"light"}
    loop._decide_rest(KEY, world.pools, gateways.loads)
    assert set(world.last) == {"large"}


async def test_start_up_times_count_once() -> None:
    learned = target(0, became_ready=(40.0,))
    world = World({"light": learned})
    gateways = Gateways({"light": load(queued=1)})
    loop = loop_of(gateways, world)
    await loop.tick()
    await loop.wake()
    memory = loop._decisions._memories[KEY]
    assert memory.state.pools["light"].startups == (40.0,)


@pytest.mark.parametrize("gone", ["light", "large"])
async def test_a_pool_that_went_between_two_looks_is_forgotten(gone: str) -> None:
    world = World({"light": target(1), "large": target(2, serves=QueryClass.COMPLEX)})
    loop = loop_of(Gateways({"light": load(), "large": load()}), world)
    await loop.tick()
    del world.pools[gone]
    world.pools = {name: replace(one) for name, one in world.pools.items()}
    await loop.tick()
    assert gone not in loop._decisions._memories[KEY].state.pools
