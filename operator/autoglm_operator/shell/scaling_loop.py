"""The clock of scaling: every interval read all pools' load once, decide every pool, publish.

Ticks keep to a monotonic grid and never overlap; a tick that takes longer than the interval skips the grid points that
it missed. Whatever Prometheus does, the loop goes on. Between the ticks the gateways of sleeping pools are asked, so
that the first query does not wait for a scrape.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry

from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import Load
from autoglm_operator.shell.decisions import Decisions, Publish
from autoglm_operator.shell.load_reader import DirectSource, LoadReader, MetricsSource, Pools
from autoglm_operator.shell.scaling_metrics import ScalingMetrics
from autoglm_operator.shell.state_store import StateStore

_DEPLOYMENTS_PER_SLICE: Final = 10
WAKE_INTERVAL_SECONDS: Final = 0.5
_SLEW: Final = 0.1

Targets = Callable[[], Mapping[ObjectKey, Pools]]


class ScalingLoop:
    """Decides the size of every pool, every interval."""

    def __init__(
        self,
        prometheus: MetricsSource,
        targets: Targets,
        publish: Publish,
        interval_seconds: float,
        *,
        direct: DirectSource | None = None,
        store: StateStore | None = None,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        """Without `direct` a pool holds its size while Prometheus knows nothing; without `store` a restart forgets."""
        self._targets = targets
        self._interval_seconds = interval_seconds
        self._metrics = ScalingMetrics(registry)
        self._reader = LoadReader(prometheus, direct, self._metrics.source_success.set)
        self._decisions = Decisions(publish, self._metrics, store)
        self._seen: Mapping[ObjectKey, Pools] = {}
        self._woken: dict[ObjectKey, set[str]] = {}
        self._clock = _SteadyClock()

    async def run(self) -> None:
        """Tick until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tick_for_ever())
            group.create_task(self._wake_for_ever())

    async def tick(self) -> None:
        """Read once, then decide and publish every pool; a failed read decides on what the gateways say."""
        targets = self._targets()
        self._woken = {}
        await self._decisions.prepare(targets, self._clock.now())
        self._decisions.forget(self._decisions.known - targets.keys())
        loads = await self._reader.read(targets)
        self._seen = targets
        for count, (key, pools) in enumerate(targets.items(), start=1):
            if self._decisions.knows(key):
                self._decide_rest(key, pools, loads[key])
            if count % _DEPLOYMENTS_PER_SLICE == 0:
                await asyncio.sleep(0)  # a thousand pools must not stall the reconciler's event loop

    async def wake(self) -> None:
        """Look at the gateways of sleeping pools, and decide those at once where a query waits.

        The other pools are left alone: what is known of their load is as old as the last tick.
        """
        seen = self._seen
        for key, asleep in (await self._reader.waited_for(seen)).items():
            # Start-up times count once: the tick has taken them.
            pools = {pool: replace(target, became_ready=()) for pool, target in seen[key].items()}
            if self._decisions.knows(key):
                self._woken.setdefault(key, set()).update(asleep)
                self._decisions.decide(key, pools, asleep, self._clock.now(), only=asleep.keys())

    def _decide_rest(self, key: ObjectKey, pools: Pools, loads: Mapping[str, Load]) -> None:
        """Decide the pools that were not woken while the tick read: what it read would put those to sleep again."""
        woken = self._woken.get(key)
        only = None if woken is None else pools.keys() - woken
        self._decisions.decide(key, pools, loads, self._clock.now(), only=only)

    async def _tick_for_ever(self) -> None:
        due = time.monotonic()
        while True:
            started = time.monotonic()
            await self.tick()
            self._metrics.tick_seconds.observe(time.monotonic() - started)
            due = _next_due(due, time.monotonic(), self._interval_seconds)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _wake_for_ever(self) -> None:
        while True:
            await asyncio.sleep(WAKE_INTERVAL_SECONDS)
            await self.wake()


class _SteadyClock:
    """Wall-clock time that never jumps: windows must not end early because a clock was set.

    It follows a clock that was set by a tenth of the time that passes, so that schedules are right again in the end.
    """

    def __init__(
        self,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._now, self._at = wall(), monotonic()

    def now(self) -> datetime:
        at = self._monotonic()
        passed = timedelta(seconds=at - self._at)
        off = self._wall() - (self._now + passed)
        self._now += passed + max(-_SLEW * passed, min(off, _SLEW * passed))
        self._at = at
        return self._now


def _next_due(due: float, now: float, interval: float) -> float:
    """Return the next point of the grid after now; points that have passed are skipped."""
    missed = max(0, int((now - due) // interval))
    return due + (missed + 1) * interval
