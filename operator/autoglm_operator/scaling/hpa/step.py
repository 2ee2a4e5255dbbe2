"""One reconcile of a HorizontalPodAutoscaler: bounds first, then metrics, stabilisation, rates, bounds."""

from dataclasses import dataclass

from autoglm_api.spec import Behavior
from autoglm_api.status import Reason
from autoglm_operator.scaling.behavior import Bounds, carried_out, normalize
from autoglm_operator.scaling.history import History, seeded
from autoglm_operator.scaling.hpa.metrics import Fleet, Metric, MetricError


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
    is_limited: bool
    errors: tuple[str, ...]
    history: History


def reconcile(autoscaler: Autoscaler, fleet: Fleet, history: History) -> Step:
    """Return the size that is written, and the history with the size change already recorded."""
    current, bounds = fleet.spec_replicas, autoscaler.bounds
    history = seeded(history, current, fleet.now)
    if _disabled(current, autoscaler):
        return Step(0, False, None, False, (), history)
    if current > bounds.maximum:
        step = Step(bounds.maximum, True, Reason.TOO_MANY_REPLICAS, False, (), history)
    elif current < bounds.minimum:
        step = Step(bounds.minimum, True, Reason.TOO_FEW_REPLICAS, False, (), history)
    else:
        step = _by_metrics(autoscaler, fleet, history)
    return _written(step, autoscaler.behavior, fleet)


def _disabled(current: int, autoscaler: Autoscaler) -> bool:
    if current != 0:
        return False
    if autoscaler.scaled_to_zero is None:
        return autoscaler.bounds.minimum != 0
    return not autoscaler.scaled_to_zero


def _by_metrics(autoscaler: Autoscaler, fleet: Fleet, history: History) -> Step:
    current = fleet.spec_replicas
    proposals, errors = _proposals(autoscaler.metrics, fleet)
    highest = max(proposals, default=0)
    if not proposals or (errors and highest < current):
        return Step(current, False, None, False, errors, history)
    normalized = normalize(
        highest,
        current=current,
        bounds=autoscaler.bounds,
        behavior=autoscaler.behavior,
        history=history,
        now=fleet.now,
    )
    return Step(normalized.replicas, True, normalized.reason, normalized.is_limited, errors, normalized.history)


def _proposals(metrics: tuple[Metric, ...], fleet: Fleet) -> tuple[list[int], tuple[str, ...]]:
    proposals, errors = [], []
    for metric in metrics:
        try:
            proposals.append(metric.proposal(fleet))
        except MetricError as error:
            errors.append(str(error))
    return proposals, tuple(errors)


def _written(step: Step, behavior: Behavior | None, fleet: Fleet) -> Step:
    history = carried_out(step.history, behavior, before=fleet.spec_replicas, after=step.replicas, at=fleet.now)
    return Step(step.replicas, step.scaling_active, step.reason, step.is_limited, step.errors, history)
