import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from prometheus_client import CollectorRegistry

from autoglm_api import names
from autoglm_api.spec import Scaling, Signal, SignalType
from autoglm_api.status import Reason
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import PoolDecision, PoolTarget
from autoglm_operator.scaling.readings import Problem
from autoglm_operator.shell.prometheus import PrometheusError, Telemetry, Wanted
from autoglm_operator.shell.prometheus.coverage import gateway_metrics
from autoglm_operator.shell.prometheus.reply import parsed
from autoglm_operator.shell.scaling_loop import ScalingLoop, _next_due
from support.prometheus_replies import SHOP, gateway_rows, vector
from support.scaling_pools import scaling
from support.scaling_times import behavior, pods

KEY = ObjectKey(*SHOP)
FAST = behavior(up={"policies": [pods(100, 1)]})


@dataclass
class Source:
    """Gives the figures that the test sets, slowly if told so; an exception is raised."""

    answer: tuple[str, str] | PrometheusError = ("0", "0")
    seconds: float = 0.0
    reads: list[float] = field(default_factory=list)
    reading: int = 0

    async def read(self, now: datetime, wanted: Wanted) -> Telemetry:
        self.reads.append(time.monotonic())
        self.reading += 1
        assert self.reading == 1, "ticks overlap"
        await asyncio.sleep(self.seconds)
        self.reading -= 1
        if isinstance(self.answer, PrometheusError):
            raise self.answer
        rows = gateway_rows(*self.answer)
        return Telemetry(gateway_metrics(parsed(vector(rows), now.timestamp()), 60))


@dataclass
class World:
    """One deployment with pools; publishing a decision carries it out."""

    pools: dict[str, PoolTarget]
    published: list[PoolDecision] = field(default_factory=list)

    def targets(self) -> Mapping[ObjectKey, Mapping[str, PoolTarget]]:
        return {KEY: self.pools}

    def publish(self, key: ObjectKey, pool: str, decision: PoolDecision) -> None:
        assert key == KEY
        self.published.append(decision)
        self.pools[pool] = target(decision.replicas)


def target(size: int) -> PoolTarget:
    return PoolTarget(scaling(1, 10, FAST), size, size, rolling_out=False)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def loop_over(source: Source, world: World, registry: CollectorRegistry, interval: float = 0.02) -> ScalingLoop:
    return ScalingLoop(source, world.targets, world.publish, interval, registry=registry)


async def run_until(loop: ScalingLoop, done: Callable[[], bool]) -> None:
    task = asyncio.create_task(loop.run())
    async with asyncio.timeout(5):
        while not (done() or task.done()):  # noqa: ASYNC110 - what is awaited has no event
            await asyncio.sleep(0.005)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def sample(registry: CollectorRegistry, metric: str, **labels: str) -> float | None:
    return registry.get_sample_value(metric, labels)


async def test_a_tick_decides_publishes_and_exports(registry: CollectorRegistry) -> None:
    world = World({"light": target(2)})
    await loop_over(Source(("5", "19")), world, registry).tick()
    assert [decision.replicas for decision in world.published] == [4]
    labels = {"namespace": "shop", "deployment": "assistant", "pool": "light"}
    assert sample(registry, names.METRIC_OPERATOR_DESIRED, **labels) == 4
    assert sample(registry, names.METRIC_OPERATOR_CURRENT, **labels) == 2
    answered = sample(registry, names.METRIC_OPERATOR_SOURCE_SUCCESS)
    assert answered == pytest.approx(datetime.now(UTC).timestamp(), abs=5)


async def test_failures_hold_the_size_and_the_loop_goes_on(registry: CollectorRegistry) -> None:
    source, world = Source(PrometheusError(Problem.TIMEOUT, "no reply")), World({"light": target(2)})

    def heals() -> bool:
        if len(world.published) >= 3:
            source.answer = ("5", "19")
        return world.pools["light"].current == 4

    await run_until(loop_over(source, world, registry), heals)
    held = world.published[:3]
    assert {(decision.replicas, decision.reason) for decision in held} == {(2, Reason.METRICS_MISSING)}
    assert not held[0].metrics_available
    assert "Timeout (no reply)" in held[0].message


async def test_a_pool_that_cannot_be_decided_does_not_stop_the_others(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    """A stored value that a later version would refuse: one resource must not end the operator of all."""
    poison = Signal.model_construct(type=SignalType.CONCURRENCY, target="odd")
    odd = PoolTarget(Scaling.model_construct(signals=[poison]), 2, 2, rolling_out=False)
    world = World({"heavy": odd, "light": target(2)})
    loop = loop_over(Source(("5", "19")), world, registry)
    await loop.tick()
    assert [decision.replicas for decision in world.published] == [4]
    assert "pool heavy" in caplog.text
    del world.pools["heavy"]
    await loop.tick()


async def test_the_budget_holds_beside_a_pool_that_cannot_be_decided(registry: CollectorRegistry) -> None:
    poison = Signal.model_construct(type=SignalType.CONCURRENCY, target="odd")
    limits = {"gpus_per_replica": 1, "gpu_budget": 5}
    odd = PoolTarget(Scaling.model_construct(signals=[poison]), 2, 2, rolling_out=False, **limits)  # type: ignore[arg-type]
    world = World({"heavy": odd, "light": replace(target(2), **limits)})  # type: ignore[arg-type]
    await loop_over(Source(("5", "60")), world, registry).tick()
    assert [(one.replicas, one.limited) for one in world.published] == [(3, Reason.GPU_BUDGET)]


async def test_a_budget_that_cannot_be_divided_lets_nobody_grow(
    registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    limits = {"gpus_per_replica": 1, "gpu_budget": 5, "weight": 0}
    world = World({"light": replace(target(2), **limits), "large": target(10)})  # type: ignore[arg-type]
    await loop_over(Source(("5", "60")), world, registry).tick()
    assert world.pools["light"].current == 2
    assert "could not be divided" in caplog.text


async def test_each_change_is_told_once(registry: CollectorRegistry, caplog: pytest.LogCaptureFixture) -> None:
    source, world = Source(("5", "19")), World({"light": target(2)})
    loop = loop_over(source, world, registry)
    with caplog.at_level(logging.INFO):
        for answer in (
            ("5", "19"),
            ("5", "20"),
            PrometheusError(Problem.TIMEOUT, "a"),
            PrometheusError(Problem.TIMEOUT, "b"),
        ):
            source.answer = answer
            await loop.tick()
    told = [record.getMessage().split(":")[0] for record in caplog.records]
    assert told == [
        "shop/assistant pool light",  # 2 -> 4
        "no metrics, all pools hold their size",
        "shop/assistant pool light",  # held
    ]


async def test_slow_reads_never_overlap_and_missed_points_are_skipped(registry: CollectorRegistry) -> None:
    source, world = Source(seconds=0.05), World({"light": target(2)})
    await run_until(loop_over(source, world, registry, interval=0.04), lambda: len(source.reads) >= 4)
    gaps = [late - early for early, late in zip(source.reads, source.reads[1:], strict=False)]
    assert min(gaps) >= 0.05


@pytest.mark.parametrize(
    ("due", "now", "following"), [(0, 0.1, 5), (5, 5.0, 10), (5, 9.99, 10), (5, 12, 15), (5, 31, 35)]
)
def test_the_grid_does_not_drift(due: float, now: float, following: float) -> None:
    assert _next_due(due, now, 5) == following


async def test_a_pool_that_is_gone_is_forgotten(registry: CollectorRegistry) -> None:
    world = World({"light": target(2), "large": target(1)})
    loop = loop_over(Source(), world, registry)
    await loop.tick()
    del world.pools["large"]
    await loop.tick()
    labels = {"namespace": "shop", "deployment": "assistant"}
    assert sample(registry, names.METRIC_OPERATOR_DESIRED, **labels, pool="large") is None
    assert sample(registry, names.METRIC_OPERATOR_DESIRED, **labels, pool="light") == 2


async def test_one_tick_decides_for_every_one_of_a_thousand_pools(registry: CollectorRegistry) -> None:
    targets = {KEY: dict.fromkeys((f"pool-{number}" for number in range(1000)), target(2))}
    published: list[PoolDecision] = []
    loop = ScalingLoop(
        Source(), lambda: targets, lambda _key, _pool, decision: published.append(decision), 5, registry=registry
    )
    await loop.tick()
    assert len(published) == 1000
