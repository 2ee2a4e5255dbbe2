"""All pools of one deployment decided together: the mix of classes before, the GPU budget after."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple

from autoglm_api.spec import Mode
from autoglm_api.status import Reason
from autoglm_operator.scaling.budget import Ask, within_budget
from autoglm_operator.scaling.coupling import coupled
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.model import Load, PoolDecision, PoolSnapshot, PoolTarget


@dataclass(frozen=True, slots=True)
class DeploymentState:
    """What the decisions for one deployment remember, by pool."""

    pools: dict[str, PoolState] = field(default_factory=dict)


class PoolInput(NamedTuple):
    """One pool and its load."""

    target: PoolTarget
    load: Load

    @property
    def snapshot(self) -> PoolSnapshot:
        """What a decision sees."""
        return self.target.snapshot(self.load)


def inputs_for(targets: Mapping[str, PoolTarget], loads: Mapping[str, Load]) -> dict[str, PoolInput]:
    """Return the pools with their loads, in which the mix of the classes has been taken into account."""
    together = coupled({pool: loads[pool] for pool in targets})
    return {pool: PoolInput(target, together[pool]) for pool, target in targets.items()}


def apart(
    targets: Mapping[str, PoolTarget], chosen: Collection[str], sizes: Mapping[str, int]
) -> dict[str, PoolTarget]:
    """Return the chosen pools as they are to be decided without the others, whose GPUs are taken off the budget.

    `sizes` are what was decided last: the cluster may not show it yet.
    """
    others = {name: target for name, target in targets.items() if name not in chosen}
    held = sum(max(one.current, sizes.get(name, 0)) * one.gpus_per_replica for name, one in others.items())
    return {name: replace(targets[name], gpus_elsewhere=held) for name in targets if name in chosen}


def decide_deployment(
    pools: Mapping[str, PoolInput], gpu_budget: int | None, state: DeploymentState, now: datetime
) -> tuple[dict[str, PoolDecision], DeploymentState]:
    """Return a decision for each pool and the state for the next time; pure.

    `pools` come from `inputs_for`. A pool that another controller sizes (mode External, Advisory, or a conflict) gets
    advice: `PoolDecision.advisory`.
    """
    decisions, states = {}, {}
    for name, pool in pools.items():
        before = state.pools.get(name, PoolState())
        decision, states[name] = decide(pool.snapshot, pool.target.scaling, before, now)
        decisions[name] = replace(decision, advisory=pool.target.mode is not Mode.INTERNAL)
    if gpu_budget is not None:
        decisions = budgeted(pools, decisions, gpu_budget)
    return decisions, DeploymentState(states)


def budgeted(
    pools: Mapping[str, PoolInput], decisions: Mapping[str, PoolDecision], gpus: int
) -> dict[str, PoolDecision]:
    """Return the decisions as far as the GPUs go; a pool that is sized by somebody else, or not at all, comes first."""
    sized = {name for name, decision in decisions.items() if not decision.advisory}
    asks = [_ask(name, pools[name].target, decisions[name]) for name in decisions if name in sized]
    held = [pool.target.current * pool.target.gpus_per_replica for name, pool in pools.items() if name not in sized]
    elsewhere = max((pool.target.gpus_elsewhere for pool in pools.values()), default=0)
    granted = within_budget(asks, max(0, gpus - sum(held) - elsewhere))
    return {
        name: _cut(decision, pools[name].target.current, granted.get(name, decision.replicas), gpus)
        for name, decision in decisions.items()
    }


def _ask(name: str, target: PoolTarget, decision: PoolDecision) -> Ask:
    return Ask(
        pool=name,
        serves=target.serves,
        weight=target.weight,
        gpus_per_replica=target.gpus_per_replica,
        current=target.current,
        minimum=min(target.scaling.min_replicas, target.current),
        wanted=decision.replicas,
    )


def _cut(decision: PoolDecision, current: int, replicas: int, gpus: int) -> PoolDecision:
    if replicas >= decision.replicas:
        return decision
    move = f"{current} -> {replicas}" if replicas != current else f"stays at {current}"
    message = f"{decision.message}; gpuBudget of {gpus} allows {replicas}: {move}"
    return replace(decision, replicas=replicas, reason=Reason.GPU_BUDGET, limited=Reason.GPU_BUDGET, message=message)
