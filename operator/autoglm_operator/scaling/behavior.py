"""From the size that the signals propose to the size that may be written: exactly autoscaling/v2.

Stabilise over past recommendations, then limit the rate, then keep within min and max. `behavior=None` is the legacy
path of an HPA without `behavior`. Source: kubernetes v1.36 pkg/controller/podautoscaler/horizontal.go
(`normalizeDesiredReplicas`, `normalizeDesiredReplicasWithBehaviors`).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from autoglm_api.spec import Behavior
from autoglm_api.status import Reason
from autoglm_operator.scaling.history import History, Recommendation, changed, recommended
from autoglm_operator.scaling.rate import grow_limit, legacy_grow_limit, shrink_limit
from autoglm_operator.scaling.rules import DOWNSCALE_STABILIZATION, Rules, complete


class Bounds(NamedTuple):
    """Smallest and largest size of the pool."""

    minimum: int
    maximum: int


class Limited(NamedTuple):
    """A size within rates and bounds, and the rule that it met."""

    replicas: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Normalized:
    """The size that may be written."""

    replicas: int
    stabilized: int
    """The proposal after stabilisation, before rates and bounds."""
    stabilization: Reason | None
    """ScaleUpStabilized or ScaleDownStabilized when the past changed the proposal."""
    reason: Reason
    """What rates and bounds said: DesiredWithinRange or the limit that was met (condition ScalingLimited)."""
    history: History
    """The history with the raw proposal (or what stands for it) recorded."""

    @property
    def is_limited(self) -> bool:
        """True when rates or bounds changed the stabilised size."""
        return self.replicas != self.stabilized


def normalize(
    proposal: int,
    *,
    current: int,
    bounds: Bounds,
    behavior: Behavior | None,
    history: History,
    now: datetime,
    recorded: int | None = None,
) -> Normalized:
    """Return the size that may be written for a proposal; the history must be seeded.

    `recorded` is what later decisions are to remember of the proposal, if that is another size.
    """
    remembered = proposal if recorded is None else recorded
    if behavior is None:
        return _normalize_legacy(proposal, current, bounds, history, now, remembered)
    rules = complete(behavior)
    stabilized = _stabilize(proposal, current, rules, history, now)
    replicas, reason = _limit(stabilized, current, bounds, rules, history, now)
    direction = Reason.SCALE_UP_STABILIZED if proposal >= current else Reason.SCALE_DOWN_STABILIZED
    return Normalized(
        replicas=replicas,
        stabilized=stabilized,
        stabilization=direction if stabilized != proposal else None,
        reason=reason,
        history=recommended(history, remembered, now, max(rules.up.window, rules.down.window)),
    )


def carried_out(history: History, behavior: Behavior | None, *, before: int, after: int, at: datetime) -> History:
    """Return the history after a size change was written; without a `behavior` nothing is remembered."""
    if behavior is None:
        return history
    rules = complete(behavior)
    return changed(
        history,
        before=before,
        after=after,
        at=at,
        longest_up=rules.up.longest_period,
        longest_down=rules.down.longest_period,
    )


def _stabilize(proposal: int, current: int, rules: Rules, history: History, now: datetime) -> int:
    up_cutoff, down_cutoff = now - rules.up.window, now - rules.down.window
    past = history.recommendations
    lowest = min((old.replicas for old in past if old.at > up_cutoff), default=proposal)
    highest = max((old.replicas for old in past if old.at > down_cutoff), default=proposal)
    return min(max(current, min(lowest, proposal)), max(highest, proposal))


def _limit(desired: int, current: int, bounds: Bounds, rules: Rules, history: History, now: datetime) -> Limited:
    if desired > current:
        ceiling = grow_limit(current, history, rules.up, now)
        return _below(desired, ceiling, bounds)
    if desired < current:
        floor = shrink_limit(current, history, rules.down, now)
        return _above(desired, floor, bounds)
    return Limited(desired, Reason.DESIRED_WITHIN_RANGE)


def _below(desired: int, ceiling: int, bounds: Bounds) -> Limited:
    if bounds.maximum > ceiling:
        allowed = Limited(ceiling, Reason.SCALE_UP_LIMIT)
    else:
        allowed = Limited(bounds.maximum, Reason.TOO_MANY_REPLICAS)
    return allowed if desired > allowed.replicas else Limited(desired, Reason.DESIRED_WITHIN_RANGE)


def _above(desired: int, floor: int, bounds: Bounds) -> Limited:
    if bounds.minimum < floor:
        allowed = Limited(floor, Reason.SCALE_DOWN_LIMIT)
    else:
        allowed = Limited(bounds.minimum, Reason.TOO_FEW_REPLICAS)
    return allowed if desired < allowed.replicas else Limited(desired, Reason.DESIRED_WITHIN_RANGE)


def _normalize_legacy(
    proposal: int, current: int, bounds: Bounds, history: History, now: datetime, remembered: int
) -> Normalized:
    stabilized = _highest_recent(proposal, history.recommendations, now)
    if stabilized < bounds.minimum:
        replicas, reason = bounds.minimum, Reason.TOO_FEW_REPLICAS
    else:
        replicas, reason = _below(stabilized, legacy_grow_limit(current), bounds)
    return Normalized(
        replicas=replicas,
        stabilized=stabilized,
        stabilization=Reason.SCALE_DOWN_STABILIZED if stabilized != proposal else None,
        reason=reason,
        history=recommended(history, remembered, now, DOWNSCALE_STABILIZATION),
    )


def _highest_recent(proposal: int, past: tuple[Recommendation, ...], now: datetime) -> int:
    # Inclusive here, strict with a `behavior`: upstream differs in the same way.
    cutoff = now - DOWNSCALE_STABILIZATION
    return max(proposal, *(old.replicas for old in past if old.at >= cutoff), proposal)
