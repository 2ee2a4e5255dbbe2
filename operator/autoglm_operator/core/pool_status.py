"""The status of one pool."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from autoglm_api.status import ConditionType, Decision, PoolStatus, Reason
from autoglm_operator.core.conditions import Finding, conditions, finding, timestamp
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.observed import Observed
from autoglm_operator.core.pools import PoolPlan
from autoglm_operator.core.problems import Problem
from autoglm_operator.scaling.model import PoolDecision

_MAX_MESSAGE: Final = 4096


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
    findings = [_ready(plan, problems), _paused() if paused else _progressing(plan), *_scaling(decision)]
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
        last_decision=_last_decision(decision, before.last_decision if before is not None else None),
    )


def _ready(plan: PoolPlan, problems: Iterable[Problem]) -> Finding:
    counts = f"{plan.ready} of {plan.desired} replicas are ready"
    if plan.ready > 0:
        return finding(ConditionType.READY, True, Reason.AVAILABLE, counts)
    first = next((one for one in problems if one.place == plan.pool.name), None)
    if first is None:
        return finding(ConditionType.READY, False, Reason.STARTING, counts)
    return finding(ConditionType.READY, False, first.reason, first.message)


def _progressing(plan: PoolPlan) -> Finding:
    kind = ConditionType.PROGRESSING
    if plan.rollout.rolling_out or plan.rollout.retired:
        return finding(kind, True, Reason.ROLLING_OUT, f"revision {plan.revision} replaces an older one")
    if plan.ready < plan.desired:
        return finding(kind, True, Reason.SCALING, "replicas are starting")
    return finding(kind, False, Reason.STABLE, "all wanted replicas are ready")


def _paused() -> Finding:
    return finding(ConditionType.PROGRESSING, False, Reason.PAUSED, "spec.paused is true")


def _scaling(decision: PoolDecision | None) -> list[Finding]:
    """Derive autoscaling/v2's conditions, without figures, which would be written at every tick."""
    if decision is None:
        return []
    fresh, limited = decision.metrics_available, decision.limited
    reason = Reason.METRICS_FRESH if fresh else Reason.METRICS_MISSING
    metrics = "all signals have fresh data" if fresh else "a signal has no usable data; the pool does not shrink"
    limit = "the size is what the signals ask for" if limited is None else f"kept from the proposed size: {limited}"
    return [
        finding(ConditionType.METRICS_AVAILABLE, fresh, reason, metrics),
        finding(ConditionType.SCALING_ACTIVE, fresh, reason, metrics),
        finding(ConditionType.SCALING_LIMITED, limited is not None, limited or Reason.DESIRED_WITHIN_RANGE, limit),
    ]


def _last_decision(decision: PoolDecision | None, before: Decision | None) -> Decision | None:
    if decision is None:
        return before
    if before is not None and (before.replicas, before.reason, before.winner) == (
        decision.replicas,
        decision.reason,
        decision.winner,
    ):
        return before
    return Decision(
        replicas=decision.replicas,
        reason=decision.reason,
        winner=decision.winner,
        message=decision.message[:_MAX_MESSAGE],
        time=timestamp(decision.at),
    )
