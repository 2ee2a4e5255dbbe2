"""The status of one pool."""

from collections.abc import Iterable
from datetime import datetime

from autoglm_api.spec import Mode
from autoglm_api.status import ConditionType, PoolStatus, Reason
from autoglm_operator.core.conditions import Finding, conditions, finding
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.observed import Observed
from autoglm_operator.core.pools import PoolPlan
from autoglm_operator.core.problems import Problem
from autoglm_operator.core.scaling_status import last_decision, scaling_findings
from autoglm_operator.core.sleep import Rest


def pool_status(
    deployment: Deployment,
    observed: Observed,
    plan: PoolPlan,
    problems: Iterable[Problem],
    memory: Memory,
    now: datetime,
) -> PoolStatus:
    """Derive one pool's status; the last decision is replaced only by one that says something new.

    While paused the revision is the one before: the new one is not rolled out.
    """
    name = plan.pool.name
    before = next((one for one in deployment.status.pools or () if one.name == name), None)
    decision = memory.decisions.get(name)
    paused = deployment.spec.paused
    findings = [
        _ready(plan, problems),
        _paused() if paused else _progressing(plan),
        *scaling_findings(plan.sizing, decision, paused=paused),
    ]
    return PoolStatus(
        name=name,
        revision=before.revision if paused and before is not None else plan.revision,
        replicas=len(observed.workers(name)),
        ready_replicas=plan.ready,
        desired_replicas=plan.desired,
        summary=f"{plan.ready}/{plan.desired}",
        conditions=conditions(
            findings, before.conditions if before is not None else None, deployment.identity.generation, now
        ),
        last_decision=last_decision(plan.sizing, decision, before.last_decision if before is not None else None, now),
    )


def _ready(plan: PoolPlan, problems: Iterable[Problem]) -> Finding:
    kind = ConditionType.READY
    first = next((one for one in problems if one.place == plan.pool.name), None)
    if plan.rest is Rest.STOPPED:
        return finding(kind, False, Reason.MANUAL_ZERO, "no query wakes the pool: it was scaled to 0, or is paused")
    if plan.ready == 0 and first is not None:
        return finding(kind, False, first.reason, first.message)
    counts = f"{plan.ready} of {plan.desired} replicas are ready"
    match plan.rest:
        case Rest.ASLEEP:
            external = plan.sizing.mode is Mode.EXTERNAL
            who = "whoever writes its AutoGLMPoolScale" if external else "the first query"
            return finding(kind, True, Reason.SCALED_TO_ZERO, f"asleep; {who} wakes it")
        case Rest.WAKING:
            return finding(kind, True, Reason.WOKEN, f"waking, queries wait: {counts}")
        case Rest.AWAKE:
            up = plan.ready > 0
            return finding(kind, up, Reason.AVAILABLE if up else Reason.STARTING, counts)


def _progressing(plan: PoolPlan) -> Finding:
    kind = ConditionType.PROGRESSING
    if plan.rollout.rolling_out or plan.rollout.retired:
        return finding(kind, True, Reason.ROLLING_OUT, f"revision {plan.revision} replaces an older one")
    if plan.ready < plan.desired:
        return finding(kind, True, Reason.SCALING, "replicas are starting")
    return finding(kind, False, Reason.STABLE, "all wanted replicas are ready")


def _paused() -> Finding:
    return finding(ConditionType.PROGRESSING, False, Reason.PAUSED, "spec.paused is true")
