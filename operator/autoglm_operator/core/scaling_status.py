"""What a pool's status says about its size: the conditions of scaling, and the last decision.

| mode in force | ScalingActive | ScalingLimited | lastDecision |
|---|---|---|---|
| Internal | whether the signals decide | what kept the size from the proposal | the scaling engine's |
| External | True, External | whether the bounds keep the asked size | what was asked and what is done |
| Advisory | False, Advisory or ScalingConflict | what limits the advice | the advice, said to be no more |
"""

from datetime import datetime
from typing import Final

from autoglm_api.spec import Mode
from autoglm_api.status import ConditionType, Decision, Reason, SignalReport
from autoglm_operator.core.conditions import Finding, finding, timestamp
from autoglm_operator.core.sizing import Sizing
from autoglm_operator.scaling.model import PoolDecision, Proposal

ADVICE: Final = "advice only: "
_INACTIVE: Final = {
    Reason.METRICS_MISSING: "a signal has no usable data; the pool does not shrink",
    Reason.METRICS_FALLBACK: "no signal has had data for long; the size is the fallback's",
    Reason.MANUAL_ZERO: "somebody scaled the pool to 0; it sleeps until somebody scales it up",
}
"""Reasons of decisions that no signal has made."""
_LIMITS: Final = {
    Reason.PAUSED: "the resource's annotation holds this direction of scaling; remove it to let the pool follow",
    Reason.QUOTA: "a ResourceQuota of the namespace refuses further replicas; raise the quota, or lower maxReplicas",
    Reason.API_REFUSED: "the API server refuses further replicas; the condition Degraded has its words",
    Reason.INSUFFICIENT_GPU: "no node has room for the replicas that were asked for, so no more are; add nodes that "
    "the pool's nodeSelector and tolerations allow, free some, or lower maxReplicas",
    Reason.GPU_BUDGET: "gpuBudget does not allow more; raise spec.gpuBudget, or lower another pool's maxReplicas",
    Reason.GROWTH_FUTILE: "more replicas did not bring a latency below its target; raise the signal's "
    "targetMilliseconds, or give the model a faster engine",
    Reason.CONSOLIDATION: "fewer replicas could not carry the load; it shrinks when the load falls",
    Reason.TOO_MANY_REPLICAS: "maxReplicas is the limit; raise it, or that of the schedule in force, to let it grow",
    Reason.TOO_FEW_REPLICAS: "minReplicas is the limit; lower it, or that of the schedule in force, to let it shrink",
    Reason.SCALE_UP_LIMIT: "the scaleUp policies limit the rate; the next steps follow, or raise behavior.scaleUp",
    Reason.SCALE_DOWN_LIMIT: "the scaleDown policies limit the rate; the next steps follow, or raise "
    "behavior.scaleDown",
}
_MOST_SIGNALS: Final = 20
_MAX_MESSAGE: Final = 4096


def scaling_findings(sizing: Sizing, decision: PoolDecision | None, *, paused: bool = False) -> list[Finding]:
    """Derive autoscaling/v2's conditions, without figures, which would be written at every tick."""
    found = [_conflict(sizing)]
    if decision is not None:
        found.append(_metrics(ConditionType.METRICS_AVAILABLE, decision))
    active = _paused() if paused else _active(sizing, decision)
    limited = _limited(sizing, decision)
    return found + [one for one in (active, limited) if one is not None]


def last_decision(
    sizing: Sizing, decision: PoolDecision | None, before: Decision | None, now: datetime
) -> Decision | None:
    """Return the last decision; it is replaced only by one that says something new."""
    after = _external(sizing, now) if sizing.mode is Mode.EXTERNAL else _decided(sizing, decision)
    if after is None or (before is not None and _essence(before) == _essence(after)):
        return before
    return after


def _paused() -> Finding:
    return finding(ConditionType.SCALING_ACTIVE, False, Reason.PAUSED, "spec.paused is true")


def _essence(decision: Decision) -> tuple[object, ...]:
    advice = decision.message.startswith(ADVICE)
    return (decision.replicas, decision.reason, decision.winner, decision.limited, advice)


def _conflict(sizing: Sizing) -> Finding:
    kind = ConditionType.SCALING_CONFLICT
    if sizing.conflict:
        return finding(kind, True, Reason.SCALING_CONFLICT, sizing.conflict)
    return finding(kind, False, Reason.NO_CONFLICT, "nobody else writes the size")


def _metrics(kind: ConditionType, decision: PoolDecision) -> Finding:
    if decision.metrics_available:
        return finding(kind, True, Reason.METRICS_FRESH, "all signals have fresh data")
    return finding(kind, False, Reason.METRICS_MISSING, "a signal has no usable data; the pool does not shrink")


def _active(sizing: Sizing, decision: PoolDecision | None) -> Finding | None:
    kind = ConditionType.SCALING_ACTIVE
    match sizing.mode:
        case Mode.EXTERNAL:
            return finding(kind, True, Reason.EXTERNAL, "the pool follows its AutoGLMPoolScale")
        case Mode.ADVISORY:
            reason = Reason.SCALING_CONFLICT if sizing.conflict else Reason.ADVISORY
            return finding(kind, False, reason, "decisions are reported and not carried out")
        case Mode.INTERNAL:
            return None if decision is None else _by_signals(kind, decision)


def _by_signals(kind: ConditionType, decision: PoolDecision) -> Finding:
    if decision.reason in _INACTIVE:
        return finding(kind, False, decision.reason, _INACTIVE[decision.reason])
    return finding(kind, True, Reason.METRICS_FRESH, "the size follows the signals")


def _limited(sizing: Sizing, decision: PoolDecision | None) -> Finding | None:
    kind = ConditionType.SCALING_LIMITED
    if sizing.mode is Mode.EXTERNAL:
        limited, whole, what = sizing.limited, "the size is what the AutoGLMPoolScale asks for", "asked"
    elif decision is not None:
        limited, whole, what = decision.limited, "the size is what the signals ask for", "proposed"
    else:
        return None
    limited = sizing.hindrance or limited
    message = whole if limited is None else f"kept from the {what} size: {_LIMITS.get(limited, limited)}"
    return finding(kind, limited is not None, limited or Reason.DESIRED_WITHIN_RANGE, message)


def _external(sizing: Sizing, now: datetime) -> Decision | None:
    if sizing.asked is None:
        return None
    bounds = {
        Reason.TOO_MANY_REPLICAS: "; maxReplicas is the limit",
        Reason.TOO_FEW_REPLICAS: "; minReplicas is the limit",
    }
    bound = bounds[sizing.limited] if sizing.limited is not None else ""
    return Decision(
        replicas=sizing.desired,
        reason=Reason.EXTERNAL,
        message=f"the AutoGLMPoolScale asks for {sizing.asked}{bound}",
        limited=sizing.limited,
        time=timestamp(now),
    )


def _decided(sizing: Sizing, decision: PoolDecision | None) -> Decision | None:
    if decision is None:
        return None
    advice = ADVICE if sizing.mode is Mode.ADVISORY else ""
    return Decision(
        replicas=decision.replicas,
        reason=decision.reason,
        winner=decision.winner,
        message=f"{advice}{decision.message}"[:_MAX_MESSAGE],
        limited=sizing.hindrance or decision.limited,
        signals=[_report(one) for one in decision.proposals[:_MOST_SIGNALS]] or None,
        time=timestamp(decision.at),
    )


def _report(one: Proposal) -> SignalReport:
    """Return a row of the table, cut to what the status has room for."""
    return SignalReport(
        signal=one.signal[:100],
        value=one.value[:40],
        target=one.target[:40],
        proposal=one.proposal,
        freshness=one.freshness[:64],
        source=one.source[:64],
    )
