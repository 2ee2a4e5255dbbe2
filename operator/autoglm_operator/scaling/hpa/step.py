"""One reconcile of a HorizontalPodAutoscaler: bounds first, then metrics, stabilisation, rates, bounds.

| at the start                                                  | what happens                                      |
|---------------------------------------------------------------|---------------------------------------------------|
| 0 replicas, and the HPA did not scale to zero itself          | disabled: somebody else wanted 0                  |
| 0 replicas, minReplicas 0, no Object or External metric       | disabled: at 0 there are no pods to measure       |
| 0 replicas, else                                              | by the metrics, and at least minReplicas          |
| above maxReplicas                                             | maxReplicas at once                               |
| below minReplicas                                             | minReplicas at once                               |
| no valid metric                                               | unchanged, ScalingActive=False                    |
| an invalid metric, and the rest would shrink                  | unchanged, ScalingActive=False                    |
| else                                                          | highest proposal: stabilised, rate-limited, bound |

With the gate HPAScaleToZero off the HPA never scales to zero itself.
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
    if current == 0:
        step = _from_zero(autoscaler, fleet, history)
    elif current > bounds.maximum:
        step = _moved(bounds.maximum, Reason.TOO_MANY_REPLICAS, history)
    elif current < bounds.minimum:
        step = _moved(bounds.minimum, Reason.TOO_FEW_REPLICAS, history)
    else:
        step = _by_metrics(autoscaler, fleet, history)
    return _written(step, autoscaler, fleet)


def _from_zero(autoscaler: Autoscaler, fleet: Fleet, history: History) -> Step:
    minimum = autoscaler.bounds.minimum
    if not autoscaler.scaled_to_zero or (minimum == 0 and not _measures_from_outside(autoscaler)):
        return _unmoved(0, (), history)
    step = _by_metrics(autoscaler, fleet, history)
    return replace(step, replicas=max(step.replicas, minimum)) if step.scaling_active else step


def _measures_from_outside(autoscaler: Autoscaler) -> bool:
    return any(isinstance(metric, Value | AverageValue) for metric in autoscaler.metrics)


def _by_metrics(autoscaler: Autoscaler, fleet: Fleet, history: History) -> Step:
    current = fleet.spec_replicas
    fleet = replace(fleet, tolerance=tolerance_of(autoscaler.behavior, fleet.tolerance))
    proposals, errors = _proposals(autoscaler.metrics, fleet)
    highest = max(proposals, default=0)
    if not proposals or (errors and highest < current):
        return _unmoved(current, errors, history)
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


def _unmoved(current: int, errors: tuple[str, ...], history: History) -> Step:
    return Step(
        current,
        scaling_active=False,
        reason=None,
        is_limited=False,
        errors=errors,
        history=history,
        history_if_unwritten=history,
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
    return replace(step, history=history, scaled_to_zero=_condition(autoscaler, before, after))


def _condition(autoscaler: Autoscaler, before: int, after: int) -> bool | None:
    """Return ScaledToZero after the write: it changes only with the size."""
    if autoscaler.scaled_to_zero is None or before == after:
        return autoscaler.scaled_to_zero
    return after == 0 and autoscaler.bounds.minimum == 0 and _measures_from_outside(autoscaler)
