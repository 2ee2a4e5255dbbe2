"""What a decision sets off: a line, an entry, a write - and what it must not set off at every tick."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest
from prometheus_client import CollectorRegistry

from autoglm_api.journal import journal_of
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.core.scaling_state import Saved
from autoglm_operator.scaling import persistence
from autoglm_operator.scaling.decide import PoolState
from autoglm_operator.scaling.deployment import DeploymentState
from autoglm_operator.scaling.history import History, Recommendation
from autoglm_operator.scaling.model import PoolDecision, PoolTarget
from autoglm_operator.shell.decisions import Decisions
from autoglm_operator.shell.scaling_metrics import ScalingMetrics
from support.scaling_pools import fresh_load, scaling
from support.scaling_times import at

KEY = ObjectKey("shop", "assistant")


@dataclass
class Store:
    """Keeps what the test gives, and counts the urgent writes."""

    kept: Saved | None = None
    make: Callable[[], Saved] = lambda: Saved("")
    urgent: int = 0

    async def load(self, key: ObjectKey) -> Saved | None:
        return self.kept

    def save(self, key: ObjectKey, make: Callable[[], Saved], *, changed: bool) -> None:
        self.make, self.urgent = make, self.urgent + changed

    def forget(self, key: ObjectKey) -> None:
        pass


@dataclass
class World:
    store: Store = field(default_factory=Store)
    size: int = 4
    last: PoolDecision | None = None

    def __post_init__(self) -> None:
        self.decisions = Decisions(self.publish, ScalingMetrics(CollectorRegistry()), self.store)

    def publish(self, key: ObjectKey, pool: str, decision: PoolDecision) -> None:
        self.last, self.size = decision, decision.replicas

    async def tick(self, in_flight: float, now: datetime) -> None:
        await self.decisions.prepare([KEY], now)
        target = PoolTarget(scaling(1, 10), self.size, self.size, rolling_out=False)
        self.decisions.decide(KEY, {"light": target}, {"light": fresh_load(in_flight=in_flight)}, now)


async def test_a_reason_that_flips_at_every_tick_is_neither_written_nor_noted_each_time() -> None:
    world, reasons = World(), set()
    for tick in range(48):  # on the edge of the tolerance, within the scaleDown window
        await world.tick(23 if tick // 6 % 2 else 12, at(5 * tick))
        assert world.last is not None
        reasons.add(world.last.reason)
    assert (world.size, len(reasons)) == (4, 2)
    assert world.store.urgent == 0
    assert 1 <= len(journal_of(world.store.make().journal)) <= 5


async def test_every_other_size_is_written_at_once() -> None:
    world = World()
    for tick, in_flight in enumerate((24, 36, 48)):
        await world.tick(in_flight, at(5 * tick))
    assert (world.size, world.store.urgent) == (6, 2)


async def test_a_memory_that_nothing_can_be_decided_with_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """It is kept over restarts: a pool that only held its size would do so until somebody removes the ConfigMap."""
    naive = replace(PoolState(), history=History((Recommendation(at(0).replace(tzinfo=None), 4),)))
    world = World(Store(Saved(persistence.dump(DeploymentState({"light": naive}), at(0)))))
    await world.tick(36, at(5))
    assert world.size == 6
    assert "begins anew" in caplog.text
