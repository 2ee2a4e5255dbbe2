"""The one decision of the operator: from a resource and what exists to what has to be done, and why."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from autoglm_operator.core.children import children_of, kept_of, sizes_of
from autoglm_operator.core.conflicts import disputes_of, truce_left
from autoglm_operator.core.deployment import Deployment, Invalid
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.observed import Observed
from autoglm_operator.core.outcome import Outcome
from autoglm_operator.core.pool_scale import reports
from autoglm_operator.core.pools import PoolPlan, pool_plan
from autoglm_operator.core.problems import problems
from autoglm_operator.core.repair import plan
from autoglm_operator.core.settings import Images
from autoglm_operator.core.status import blind_status, status_of, unreadable_status
from autoglm_operator.core.transitions import events

# A foreign object that goes away wakes nobody (it carries no label of ours), so it is looked for again.
_CONFLICT_RETRY: Final = timedelta(seconds=10)


def reconcile(
    deployment: Deployment | Invalid, observed: Observed, memory: Memory, now: datetime, images: Images
) -> Outcome:
    """Return what to do next, the status to report, and what to remember.

    Level-triggered: everything follows from the arguments, so that doing it, doing it again, or dying in the middle
    and starting anew all end in the same world.
    """
    match deployment:
        case Invalid():
            status = unreadable_status(deployment, now)
            return Outcome(status, memory, events=events(deployment.status, status, ()))
        case Deployment():
            return _reconcile(deployment, observed, memory, now, images)


def blind(deployment: Deployment | Invalid, refusal: str, memory: Memory, now: datetime) -> Outcome:
    """Return what to report when the API server refuses to show what exists; nothing is to be done."""
    status = blind_status(deployment, refusal, now)
    return Outcome(status, memory, events=events(deployment.status, status, ()))


def _reconcile(deployment: Deployment, observed: Observed, memory: Memory, now: datetime, images: Images) -> Outcome:
    memory = replace(memory, disputes=disputes_of(deployment, observed, memory.disputes, now))
    pools = {one.name: pool_plan(deployment, one, observed, memory, images, now) for one in deployment.spec.pools}
    plans = tuple(pools.values())
    objects = children_of(deployment, plans, images)
    taken = plan.conflicts(objects, observed)
    paused = deployment.spec.paused
    wanted = kept_of(deployment, plans)
    actions = () if paused else plan.actions(objects, sizes_of(deployment, plans), wanted, observed)
    wrong = problems(deployment, observed, taken, memory.refusals)
    status = status_of(deployment, observed, plans, wrong, memory, now)
    return Outcome(
        status=status,
        memory=_remembered(memory, pools),
        objects=objects,
        actions=actions,
        events=events(deployment.status, status, actions),
        reports=tuple(reports(deployment, ((one.pool, one.desired) for one in plans), observed)),
        pools={} if paused else pools,
        requeue_after=_CONFLICT_RETRY if taken and not paused else truce_left(memory.disputes.values(), now),
    )


def _remembered(memory: Memory, pools: Mapping[str, PoolPlan]) -> Memory:
    """Forget decisions for pools that are gone, so that a pool of the same name starts afresh."""
    return memory.with_decisions_of(memory, pools)
