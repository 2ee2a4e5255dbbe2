"""The clock of scaling: every interval read all gateways' load once, decide every pool, publish.

Ticks keep to a monotonic grid and never overlap; a tick that takes longer than the interval skips the grid points that
it missed. Whatever Prometheus does, the loop goes on and the pools hold their sizes.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, Protocol

from prometheus_client import REGISTRY, CollectorRegistry

from autoglm_api.status import Reason
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.journal import Entry, line_for
from autoglm_operator.scaling.model import Load, PoolDecision, PoolSnapshot, PoolTarget
from autoglm_operator.scaling.readings import NoData
from autoglm_operator.shell.prometheus import GatewayMetrics, PrometheusError
from autoglm_operator.shell.scaling_metrics import ScalingMetrics

_log: Final = logging.getLogger(__name__)
_journal: Final = logging.getLogger(f"{__name__}.journal")
_POOLS_PER_SLICE: Final = 50

Targets = Callable[[], Mapping[ObjectKey, Mapping[str, PoolTarget]]]
Publish = Callable[[ObjectKey, str, PoolDecision], None]


class GatewaySource(Protocol):
    """Where the gateways' load is read."""

    async def read(self, now: datetime) -> GatewayMetrics:
        """Return what every gateway reports, or raise PrometheusError."""


class PoolKey(NamedTuple):
    """One pool of one deployment."""

    deployment: ObjectKey
    pool: str


class _Told(NamedTuple):
    """What a change is measured by: a new figure alone is no news."""

    replicas: int
    reason: Reason
    winner: str | None


class ScalingLoop:
    """Decides the size of every pool, every interval."""

    def __init__(
        self,
        prometheus: GatewaySource,
        targets: Targets,
        publish: Publish,
        interval_seconds: float,
        *,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._prometheus = prometheus
        self._targets = targets
        self._publish = publish
        self._interval_seconds = interval_seconds
        self._metrics = ScalingMetrics(registry)
        self._states: dict[PoolKey, PoolState] = {}
        self._told: dict[PoolKey, _Told] = {}
        self._source_problem: str | None = None
        self._clock = _SteadyClock()

    async def run(self) -> None:
        """Tick until cancelled."""
        due = time.monotonic()
        while True:
            started = time.monotonic()
            await self.tick()
            self._metrics.tick_seconds.observe(time.monotonic() - started)
            due = _next_due(due, time.monotonic(), self._interval_seconds)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def tick(self) -> None:
        """Read once, then decide and publish every pool; a failed read decides on no data."""
        source = await self._read()
        targets = {PoolKey(key, pool): of for key, pools in self._targets().items() for pool, of in pools.items()}
        self._forget(self._states.keys() - targets.keys())
        for count, (pool, target) in enumerate(targets.items(), start=1):
            self._try(pool, target, _load(source, pool))
            if count % _POOLS_PER_SLICE == 0:
                await asyncio.sleep(0)  # a thousand pools must not stall the reconciler's event loop

    async def _read(self) -> GatewayMetrics | PrometheusError:
        wall = datetime.now(UTC)
        try:
            metrics = await self._prometheus.read(wall)
        except PrometheusError as error:
            self._tell_source(error.problem, str(error))
            return error
        self._metrics.source_success.set(wall.timestamp())
        self._tell_source(None, "")
        return metrics

    def _try(self, pool: PoolKey, target: PoolTarget, load: Load) -> None:
        try:
            self._decide(pool, target, load)
        except Exception:  # noqa: BLE001 - one poisonous resource must not end the operator of all
            _log.exception("%s pool %s holds its size: it could not be decided", pool.deployment, pool.pool)

    def _decide(self, pool: PoolKey, target: PoolTarget, load: Load) -> None:
        snapshot = PoolSnapshot(target.current, target.ready, target.rolling_out, load)
        state = self._states.get(pool, PoolState())
        decision, self._states[pool] = decide(snapshot, target.scaling, state, self._clock.now())
        if _journal.isEnabledFor(logging.DEBUG):
            name = f"{pool.deployment.namespace}/{pool.deployment.name}/{pool.pool}"
            _journal.debug("%s", line_for(Entry(name, target.scaling, snapshot, decision)))
        self._metrics.show(pool.deployment, pool.pool, desired=decision.replicas, current=target.current)
        self._tell(pool, decision)
        self._publish(pool.deployment, pool.pool, decision)

    def _tell(self, pool: PoolKey, decision: PoolDecision) -> None:
        told = _Told(decision.replicas, decision.reason, decision.winner)
        if self._told.get(pool) == told:
            return
        self._told[pool] = told
        (namespace, name), part = pool
        _log.info("%s/%s pool %s: %s (%s)", namespace, name, part, decision.message, decision.reason)

    def _tell_source(self, problem: str | None, detail: str) -> None:
        if problem == self._source_problem:
            return
        self._source_problem = problem
        if problem is None:
            _log.info("Prometheus answers again")
        else:
            _log.warning("no metrics, all pools hold their size: %s", detail)

    def _forget(self, gone: set[PoolKey]) -> None:
        for pool in gone:
            del self._states[pool]
            self._told.pop(pool, None)
            self._metrics.forget(pool.deployment, pool.pool)


class _SteadyClock:
    """Wall-clock time that never jumps: windows must not end early because a clock was set."""

    def __init__(self) -> None:
        self._wall = datetime.now(UTC)
        self._started = time.monotonic()

    def now(self) -> datetime:
        return self._wall + timedelta(seconds=time.monotonic() - self._started)


def _load(source: GatewayMetrics | PrometheusError, pool: PoolKey) -> Load:
    if isinstance(source, PrometheusError):
        nothing = NoData(source.problem, source.detail)
        return Load(queued=nothing, in_flight=nothing)
    return source.load(pool.deployment, pool.pool)


def _next_due(due: float, now: float, interval: float) -> float:
    """Return the next point of the grid after now; points that have passed are skipped."""
    missed = max(0, int((now - due) // interval))
    return due + (missed + 1) * interval
