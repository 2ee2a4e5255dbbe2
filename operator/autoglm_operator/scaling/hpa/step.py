"""One reconcile of a HorizontalPodAutoscaler: bounds first, then metrics, stabilisation, rates, bounds.

| at the start                                                  | what happens                                     |
|---------------------------------------------------------------|--------------------------------------------------|
| 0 replicas, gate off, minReplicas > 0                         | disabled                                         |
| 0 replicas, gate on, the HPA did not scale to zero itself     | disabled: somebody else wanted 0                 |
| 0 replicas, gate on, minReplicas 0, no Object/External metric | disabled: at 0 there are no pods to measure      |
| above maxReplicas                                             | maxReplicas at once                              |
| below minReplicas                                             | minReplicas at once                              |
| no valid metric                                               | unchanged, ScalingActive=False                   |
| an invalid metric, and the rest would shrink                  | unchanged, ScalingActive=False                   |
| else                                                          | highest proposal: stabilised, rate-limited, bound |
"""

from dataclasses import dataclass, replace

from autoglm_api.spec import Behavior
from autoglm_api.status import Reason
from autoglm_operator.scaling.behavior import Bounds, carried_out, normalize
from autoglm_operator.scaling.history import History, seeded
from autoglm_operator.scaling.hpa.metrics import AverageValue, Fleet, Metric, MetricError, Value
from autoglm_operator.scaling.rules import tolerance_of


@dataclass(frozen=True, slots=True)
class Autoscaler:
    """The object's spec, and the one condition of the past that it depends on."""

    bounds: Bounds
    metrics: tuple[Metric, ...]
    behavior: Behavior | None = None
    scaled_to_zero: bool | None = None
    """Condition ScaledToZero with the gate HPAScaleToZero; None with the gate off."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one reconcile decides; `scaling_active` is the condition, `errors` those of the metrics."""

    replicas: int
    scaling_active: bool
    reason: Reason | None
    """Reason of the condition ScalingLimited; None where no metric was used."""
    is_limited: bool
    errors: tuple[str, ...]
    history: History
    """What is remembered once the size is written."""
    history_if_unwritten: History
    """What is remembered when the write fails: the recommendation, but no scale event."""
    stabilization: Reason | None = None
    """ScaleUpStabilized or ScaleDownStabilized of the condition AbleToScale; None: ReadyForNewScale."""
    scaled_to_zero: bool | None = None
    """Condition ScaledToZero after the write; None with the gate off."""


def reconcile(autoscaler: Autoscaler, fleet: Fleet, history: History) -> Step:
    """Return the size that is written, and what is remembered afterwards."""
    current, bounds = fleet.spec_replicas, autoscaler.bounds
    history = seeded(history, current, fleet.now)
    if _disabled(current, autoscaler):
        return _unmoved(autoscaler, current, (), history)
    if current > bounds.maximum:
        step = _moved(bounds.maximum, Reason.TOO_MANY_REPLICAS, history)
    elif current < bounds.minimum:
        step = _moved(bounds.minimum, Reason.TOO_FEW_REPLICAS, history)
    else:
        step = _by_metrics(autoscaler, fleet, history)
    return _written(step, autoscaler, fleet)


def _disabled(current: int, autoscaler: Autoscaler) -> bool:
    if current != 0:
        return False
    if autoscaler.scaled_to_zero is None:
        return autoscaler.bounds.minimum != 0
    if not autoscaler.scaled_to_zero:
        return True
    return autoscaler.bounds.minimum == 0 and not any(isinstance(m, Value | AverageValue) for m in autoscaler.metrics)


def _by_metrics(autoscaler: Autoscaler, fleet: Fleet, history: History) -> Step:
    current = fleet.spec_replicas
    fleet = replace(fleet, tolerance=tolerance_of(autoscaler.behavior, fleet.tolerance))
    proposals, errors = _proposals(autoscaler.metrics, fleet)
    highest = max(proposals, default=0)
    if not proposals or (errors and highest < current):
        return _unmoved(autoscaler, current, errors, history)
    # Upstream starts from 0, so that a negative proposal (a negative metric) means 0.
    normalized = normalize(
        max(highest, 0),
        current=current,
        bounds=autoscaler.bounds,
        behavior=autoscaler.behavior,
        history=history,
        now=fleet.now,
    )
    return Step(
        normalized.replicas,
        scaling_active=True,
        reason=normalized.reason,
        is_limited=normalized.is_limited,
        errors=errors,
        history=normalized.history,
        history_if_unwritten=normalized.history,
        stabilization=normalized.stabilization,
    )


def _proposals(metrics: tuple[Metric, ...], fleet: Fleet) -> tuple[list[int], tuple[str, ...]]:
    proposals, errors = [], []
    for metric in metrics:
        try:
            proposals.append(metric.proposal(fleet))
        except MetricError as error:
            errors.append(str(error))
    return proposals, tuple(errors)


def _unmoved(autoscaler: Autoscaler, current: int, errors: tuple[str, ...], history: History) -> Step:
    return Step(
        current,
        scaling_active=False,
        reason=None,
        is_limited=False,
        errors=errors,
        history=history,
        history_if_unwritten=history,
        scaled_to_zero=autoscaler.scaled_to_zero,
    )


def _moved(replicas: int, reason: Reason, history: History) -> Step:
    return Step(
        replicas,
        scaling_active=True,
        reason=reason,
        is_limited=False,
        errors=(),
        history=history,
        history_if_unwritten=history,
    )


def _written(step: Step, autoscaler: Autoscaler, fleet: Fleet) -> Step:
    before, after = fleet.spec_replicas, step.replicas
    history = carried_out(step.history, autoscaler.behavior, before=before, after=after, at=fleet.now)
    was = autoscaler.scaled_to_zero
    return replace(step, history=history, scaled_to_zero=None if was is None else after == 0 and (was or before > 0))
