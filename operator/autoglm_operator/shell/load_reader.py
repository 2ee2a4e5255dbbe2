"""The loads of all pools: from Prometheus in one batch, and from the pods themselves where it does not know."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from autoglm_api.spec import Mode
from autoglm_operator.core.desired import may_sleep
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import Load, PoolTarget
from autoglm_operator.scaling.readings import NoData
from autoglm_operator.shell.loads import is_called, is_known, merged, unread
from autoglm_operator.shell.prometheus import PoolKey, PrometheusError, Telemetry, Wanted, wanted_by
from autoglm_operator.shell.share import Share, share_of

_log: Final = logging.getLogger(__name__)
_DEPLOYMENTS_PER_SLICE: Final = 10
DIRECT_SECONDS: Final = 2.0
"""How long a tick may ask pods directly."""
WAKE_SECONDS: Final = 0.5
"""How long a look at the gateways of sleeping pools may take."""

Pools = Mapping[str, PoolTarget]
Loads = Mapping[ObjectKey, Mapping[str, Load]]


class MetricsSource(Protocol):
    """Where loads are read for all pools at once."""

    async def read(self, now: datetime, wanted: Wanted) -> Telemetry:
        """Return what gateways and replicas report, or raise PrometheusError."""


class DirectSource(Protocol):
    """Who can be asked about single deployments."""

    async def ask(self, targets: Mapping[ObjectKey, Pools], seconds: float) -> None:
        """Ask about these deployments, for at most so long."""

    def load(self, key: PoolKey, target: PoolTarget, share: Share) -> Load:
        """Return what was answered about one pool."""


class LoadReader:
    """Reads the loads of a tick, and between the ticks those of sleeping pools."""

    def __init__(
        self, prometheus: MetricsSource, direct: DirectSource | None, succeeded: Callable[[float], None]
    ) -> None:
        """`succeeded` hears when Prometheus gave a usable reply, in Unix seconds."""
        self._prometheus = prometheus
        self._direct = direct
        self._succeeded = succeeded
        self._problem: str | None = None
        self._asking = asyncio.Lock()  # what was answered is used before somebody asks again

    async def read(self, targets: Mapping[ObjectKey, Pools]) -> Loads:
        """Return the load of every pool; whatever happens, what is not known is told as such."""
        signals = (signal for pools in targets.values() for of in pools.values() for signal in of.scaling.signals)
        source = await self._ask_prometheus(wanted_by(signals))
        loads: dict[ObjectKey, dict[str, Load]] = {}
        for count, (key, pools) in enumerate(targets.items(), start=1):
            loads[key] = {pool: _load(source, PoolKey(key, pool), of, pools) for pool, of in pools.items()}
            if count % _DEPLOYMENTS_PER_SLICE == 0:
                await asyncio.sleep(0)  # a thousand pools must not stall the reconciler's event loop
        unsure = {key: pools for key, pools in targets.items() if _is_unsure(pools, loads[key])}
        for key, answers in (await self._ask_directly(unsure, DIRECT_SECONDS)).items():
            for pool, answer in answers.items():
                # A scrape is too old to tell that a query waits for a sleeping pool: its gateway knows.
                asleep = targets[key][pool].current == 0
                known = loads[key][pool]
                loads[key][pool] = merged(answer, known) if asleep else merged(known, answer)
        return loads

    async def waited_for(self, targets: Mapping[ObjectKey, Pools]) -> Loads:
        """Return the loads of sleeping pools of deployments in which a query waits for one."""
        sleeping = {key: pools for key, pools in targets.items() if any(map(may_wake, pools.values()))}
        found: dict[ObjectKey, Mapping[str, Load]] = {}
        for key, loads in (await self._ask_directly(sleeping, WAKE_SECONDS)).items():
            asleep = {pool: load for pool, load in loads.items() if may_wake(targets[key][pool])}
            if any(map(is_called, asleep.values())):
                found[key] = asleep
        return found

    async def _ask_directly(self, targets: Mapping[ObjectKey, Pools], seconds: float) -> Loads:
        if self._direct is None or not targets:
            return {}
        async with self._asking:
            await self._direct.ask(targets, seconds)
            return {key: self._answers(self._direct, key, pools) for key, pools in targets.items()}

    def _answers(self, direct: DirectSource, key: ObjectKey, pools: Pools) -> dict[str, Load]:
        return {pool: direct.load(PoolKey(key, pool), of, share_of(pool, pools)) for pool, of in pools.items()}

    async def _ask_prometheus(self, wanted: Wanted) -> Telemetry | PrometheusError:
        wall = datetime.now(UTC)
        try:
            metrics = await self._prometheus.read(wall, wanted)
        except PrometheusError as error:
            self._tell(error.problem, str(error))
            return error
        self._succeeded(wall.timestamp())
        self._tell(None, "")
        return metrics

    def _tell(self, problem: str | None, detail: str) -> None:
        if problem == self._problem:
            return
        self._problem = problem
        if problem is None:
            _log.info("Prometheus answers again")
        elif self._direct is None:
            _log.warning("no metrics, all pools hold their size: %s", detail)
        else:
            _log.warning("no metrics of Prometheus, the gateways are asked directly: %s", detail)


def may_wake(target: PoolTarget) -> bool:
    """Tell whether a pool sleeps that a query can wake."""
    return target.current == 0 and may_sleep(target.scaling) and target.mode is Mode.INTERNAL


def _is_unsure(pools: Pools, loads: Mapping[str, Load]) -> bool:
    return any(map(may_wake, pools.values())) or not all(map(is_known, loads.values()))


def _load(source: Telemetry | PrometheusError, key: PoolKey, target: PoolTarget, pools: Pools) -> Load:
    if isinstance(source, PrometheusError):
        return unread(NoData(source.problem, source.detail), target)
    return source.load(key, target, share_of(key.pool, pools))
