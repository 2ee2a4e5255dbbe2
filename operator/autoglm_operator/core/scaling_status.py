"""What a pool's status says about its size: the conditions of scaling, and the last decision.

| mode in force | ScalingActive | ScalingLimited | lastDecision |
|---|---|---|---|
| Internal | whether the signals have data | what kept the size from the proposal | the scaling engine's |
| External | True, External | whether the bounds keep the asked size | what was asked and what is done |
| Advisory | False, Advisory or ScalingConflict | what limits the advice | the advice, said to be no more |
"""

from datetime import datetime
from typing import Final

from autoglm_api.spec import Mode
from autoglm_api.status import ConditionType, Decision, Reason
from autoglm_operator.core.conditions import Finding, finding, timestamp
from autoglm_operator.core.sizing import Sizing
from autoglm_operator.scaling.model import PoolDecision

ADVICE: Final = "advice only: "
_MAX_MESSAGE: Final = 4096


def scaling_findings(sizing: Sizing, decision: PoolDecision | None) -> list[Finding]:
    """Derive autoscaling/v2's conditions, without figures, which would be written at every tick."""
    found = [_conflict(sizing)]
    if decision is not None:
        found.append(_metrics(ConditionType.METRICS_AVAILABLE, decision))
    active = _active(sizing, decision)
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
            return None if decision is None else _metrics(kind, decision)


def _limited(sizing: Sizing, decision: PoolDecision | None) -> Finding | None:
    kind = ConditionType.SCALING_LIMITED
    if sizing.mode is Mode.EXTERNAL:
        limited, whole, what = sizing.limited, "the size is what the AutoGLMPoolScale asks for", "asked"
    elif decision is not None:
        limited, whole, what = decision.limited, "the size is what the signals ask for", "proposed"
    else:
        return None
    message = whole if limited is None else f"kept from the {what} size: {limited}"
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
        limited=decision.limited,
        time=timestamp(decision.at),
    )
