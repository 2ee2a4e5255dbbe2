"""The decisions of all deployments: remembered between ticks and restarts, told when they change."""

import asyncio
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from autoglm_api.journal import JournalEntry, journal_of, journal_text
from autoglm_api.status import Reason
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.core.scaling_state import Saved
from autoglm_operator.scaling import persistence
from autoglm_operator.scaling.decide import PoolState
from autoglm_operator.scaling.deployment import (
    DeploymentState,
    PoolInput,
    apart,
    budgeted,
    decide_deployment,
    inputs_for,
)
from autoglm_operator.scaling.journal import LOGGER, Begun, Dropped, Entry, Record, line_for
from autoglm_operator.scaling.model import Load, PoolDecision, PoolTarget
from autoglm_operator.shell.scaling_metrics import ScalingMetrics
from autoglm_operator.shell.state_store import StateStore, StateUnreadError

_log: Final = logging.getLogger(__name__)
_journal: Final = logging.getLogger(LOGGER)
_LOADS_AT_ONCE: Final = 16
_SMALL_NEWS_AFTER: Final = timedelta(seconds=60)
"""A figure on the edge changes the reason at every tick, and the journal is short."""

Publish = Callable[[ObjectKey, str, PoolDecision], None]


class _Told(NamedTuple):
    """What a change is measured by: a new figure alone is no news."""

    replicas: int
    reason: Reason
    winner: str | None
    small_at: datetime | None = None
    """When something else than a new size was last told."""

    def is_news_after(self, before: "_Told | None", now: datetime) -> bool:
        """Tell whether it is worth a line: another size always, another reason or winner once a while."""
        if before is None or before.replicas != self.replicas:
            return True
        is_due = before.small_at is None or now - before.small_at >= _SMALL_NEWS_AFTER
        return is_due and (before.reason, before.winner) != (self.reason, self.winner)


@dataclass(slots=True)
class _Memory:
    """What is remembered of one deployment."""

    state: DeploymentState = field(default_factory=DeploymentState)
    journal: tuple[JournalEntry, ...] = ()
    told: dict[str, _Told] = field(default_factory=dict)


class Decisions:
    """Decides, remembers, publishes and tells."""

    def __init__(self, publish: Publish, metrics: ScalingMetrics, store: StateStore | None = None) -> None:
        self._publish = publish
        self._metrics = metrics
        self._store = store
        self._memories: dict[ObjectKey, _Memory] = {}
        self._unread: set[ObjectKey] = set()

    async def prepare(self, keys: Iterable[ObjectKey], now: datetime) -> None:
        """Read what is kept of deployments that are new here; one that cannot be read now is not decided yet."""
        turn = asyncio.Semaphore(_LOADS_AT_ONCE)

        async def read(key: ObjectKey) -> None:
            async with turn:
                await self._read(key, now)

        await asyncio.gather(*(read(key) for key in keys if key not in self._memories))

    def knows(self, key: ObjectKey) -> bool:
        """Tell whether the deployment can be decided: its memory was read, or there is none."""
        return key in self._memories

    def decide(
        self,
        key: ObjectKey,
        targets: Mapping[str, PoolTarget],
        loads: Mapping[str, Load],
        now: datetime,
        only: Collection[str] | None = None,
    ) -> None:
        """Decide the pools of a deployment, or only some of them, and publish the decisions."""
        memory = self._memories[key]
        sizes = {pool: told.replicas for pool, told in memory.told.items()}
        pools = inputs_for(targets if only is None else apart(targets, only, sizes), loads)
        decisions, after = self._decided(key, pools, memory.state, now)
        kept = {pool: state for pool, state in memory.state.pools.items() if pool in targets}
        for pool in memory.state.pools.keys() - kept.keys():
            _record(Dropped(f"{key.namespace}/{key.name}/{pool}"))
        memory.state = DeploymentState({**kept, **after.pools})
        changed = False
        for pool, decision in decisions.items():
            _record(Entry(f"{key.namespace}/{key.name}/{pool}", *pools[pool], decision))
            self._metrics.show(key, pool, pools[pool].target, decision, memory.state.pools[pool])
            changed |= self._tell(key, memory, pool, pools[pool].target, decision)
            self._publish(key, pool, decision)
        self._forget_pools(key, memory, targets)
        if self._store is not None:
            self._store.save(key, lambda: _saved(memory, now), changed=changed)

    def forget(self, keys: Iterable[ObjectKey]) -> None:
        """Drop what is remembered of deployments that are gone."""
        for key in [key for key in keys if key in self._memories]:
            self._forget_pools(key, self._memories.pop(key), {})
            if self._store is not None:
                self._store.forget(key)

    @property
    def known(self) -> frozenset[ObjectKey]:
        """Deployments of which something is remembered."""
        return frozenset(self._memories)

    async def _read(self, key: ObjectKey, now: datetime) -> None:
        try:
            saved = await self._store.load(key) if self._store is not None else None
        except StateUnreadError as error:
            if key not in self._unread:
                _log.warning("%s holds its sizes: its scaling state cannot be read now: %s", key, error)
            self._unread.add(key)
            return
        self._unread.discard(key)
        self._memories[key] = _Memory() if saved is None else _restored(key, saved, now)
        _record(Begun(f"{key.namespace}/{key.name}", now, saved.state if saved else ""))

    def _decided(
        self, key: ObjectKey, pools: Mapping[str, PoolInput], state: DeploymentState, now: datetime
    ) -> tuple[dict[str, PoolDecision], DeploymentState]:
        try:
            return decide_deployment(pools, _budget_of(pools), state, now)
        except Exception:  # noqa: BLE001 - one poisonous pool must not stop the scaling of the others
            return self._decided_apart(key, pools, state, now)

    def _decided_apart(
        self, key: ObjectKey, pools: Mapping[str, PoolInput], state: DeploymentState, now: datetime
    ) -> tuple[dict[str, PoolDecision], DeploymentState]:
        """Decide pool by pool, and leave out those that cannot be decided: they keep their size, and their GPUs."""
        decisions: dict[str, PoolDecision] = {}
        states: dict[str, PoolState] = {}
        for name, pool in pools.items():
            try:
                alone, after = self._decided_alone(key, name, pool, state, now)
            except Exception:  # noqa: BLE001 - see above
                _log.exception("%s pool %s holds its size: it could not be decided", key, name)
                states[name] = state.pools.get(name, PoolState())
                continue
            decisions |= alone
            states |= after.pools
        return self._within_budget(key, pools, decisions), DeploymentState(states)

    def _within_budget(
        self, key: ObjectKey, pools: Mapping[str, PoolInput], decisions: dict[str, PoolDecision]
    ) -> dict[str, PoolDecision]:
        gpus = _budget_of(pools)
        try:
            return decisions if gpus is None else budgeted(pools, decisions, gpus)
        except Exception:  # noqa: BLE001 - the budget's own input may be the poison
            _log.exception("%s: no pool grows: the GPU budget could not be divided", key)
            return {name: made for name, made in decisions.items() if made.replicas <= pools[name].target.current}

    def _decided_alone(
        self, key: ObjectKey, name: str, pool: PoolInput, state: DeploymentState, now: datetime
    ) -> tuple[dict[str, PoolDecision], DeploymentState]:
        try:
            return decide_deployment({name: pool}, None, state, now)
        except Exception as error:  # noqa: BLE001 - what is remembered may be the poison, and it is kept over restarts
            decided = decide_deployment({name: pool}, None, DeploymentState(), now)
            _record(Dropped(f"{key.namespace}/{key.name}/{name}"))
            _log.warning(
                "%s pool %s begins anew: with what it remembered it could not be decided: %r", key, name, error
            )
            return decided

    def _tell(self, key: ObjectKey, memory: _Memory, pool: str, target: PoolTarget, decision: PoolDecision) -> bool:
        """Tell what is news; return whether a size changed, which must outlive the operator."""
        told, before = _Told(decision.replicas, decision.reason, decision.winner), memory.told.get(pool)
        if not told.is_news_after(before, decision.at):
            return False
        is_small = before is not None and before.replicas == told.replicas
        memory.told[pool] = told._replace(small_at=decision.at if is_small else None)
        _log.info("%s/%s pool %s: %s (%s)", *key, pool, decision.message, decision.reason)
        if before is None and decision.replicas == target.current:
            return False  # a restart is no decision
        memory.journal = persistence.noted(memory.journal, pool, target.current, decision)
        return not is_small

    def _forget_pools(self, key: ObjectKey, memory: _Memory, kept: Mapping[str, PoolTarget]) -> None:
        for pool in [pool for pool in memory.told if pool not in kept]:
            del memory.told[pool]
            self._metrics.forget(key, pool)


def _record(record: Record) -> None:
    if _journal.isEnabledFor(logging.DEBUG):
        _journal.debug("%s", line_for(record))


def _budget_of(pools: Mapping[str, PoolInput]) -> int | None:
    return next((pool.target.gpu_budget for pool in pools.values()), None)


def _saved(memory: _Memory, now: datetime) -> Saved:
    return Saved(persistence.dump(memory.state, now), journal_text(memory.journal))


def _restored(key: ObjectKey, saved: Saved, now: datetime) -> _Memory:
    restored = persistence.load(saved.state, now)
    if restored.state is None:
        _log.warning("%s begins anew: %s", key, restored.problem)
    return _Memory(restored.state or DeploymentState(), journal_of(saved.journal))
