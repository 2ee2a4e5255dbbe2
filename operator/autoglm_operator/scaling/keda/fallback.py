"""What KEDA serves when a trigger has failed too often: a metric that makes the HPA keep a size."""

from dataclasses import dataclass
from enum import StrEnum


class Behavior(StrEnum):
    """`fallback.behavior`."""

    STATIC = "static"
    CURRENT_REPLICAS = "currentReplicas"
    CURRENT_REPLICAS_IF_HIGHER = "currentReplicasIfHigher"
    CURRENT_REPLICAS_IF_LOWER = "currentReplicasIfLower"
    SCALING_MODIFIERS = "scalingModifiers"


class TargetType(StrEnum):
    """The metric's type in the HPA."""

    AVERAGE_VALUE = "AverageValue"
    VALUE = "Value"


@dataclass(frozen=True, slots=True)
class Fallback:
    """`spec.fallback` of a ScaledObject."""

    failure_threshold: int
    replicas: int
    behavior: Behavior = Behavior.STATIC

    @property
    def is_valid(self) -> bool:
        """Tell whether KEDA would use it."""
        return self.failure_threshold >= 0 and self.replicas >= 0


@dataclass(frozen=True, slots=True)
class Trigger:
    """One trigger's target; with `scalingModifiers` the composite metric's."""

    target_milli: int
    type: TargetType = TargetType.AVERAGE_VALUE


@dataclass(frozen=True, slots=True)
class Workload:
    """The scaled object's sizes."""

    replicas: int
    ready: int


@dataclass(frozen=True, slots=True)
class Served:
    """The metric that the HPA sees, in thousandths."""

    milli: int
    is_fallback: bool = False


@dataclass(frozen=True, slots=True)
class Nil:
    """The trigger is nil in the formula of `scalingModifiers`: its `??` takes the other side."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The HPA gets an error for this metric."""


Outcome = Served | Nil | Failed


def with_fallback(
    milli: int | None, failures: int, trigger: Trigger, fallback: Fallback | None, workload: Workload
) -> tuple[Outcome, int]:
    """Return what is served for a reading (None: failed) and the failures in a row to remember.

    | reading | fallback        | failures with this one | served                                      |
    |---------|-----------------|------------------------|---------------------------------------------|
    | value   | any             | 0                      | the value                                   |
    | failed  | none or invalid | not counted            | error                                       |
    | failed  | valid           | <= failureThreshold    | error                                       |
    | failed  | scalingModifiers | > failureThreshold    | nil for the formula                         |
    | failed  | else            | > failureThreshold     | target * size (Value: / ready; 0 ready: error) |

    The size: static `replicas`; currentReplicas the current one; IfHigher and IfLower the larger and smaller of both.
    """
    if fallback is None or not fallback.is_valid:
        return (Failed() if milli is None else Served(milli)), failures
    if milli is not None:
        return Served(milli), 0
    failures += 1
    if failures <= fallback.failure_threshold:
        return Failed(), failures
    return _fallen_back(trigger, fallback, workload), failures


def fallback_size(fallback: Fallback, current: int) -> int:
    """Return the size that the fallback keeps."""
    match fallback.behavior:
        case Behavior.CURRENT_REPLICAS:
            return current
        case Behavior.CURRENT_REPLICAS_IF_HIGHER:
            return max(current, fallback.replicas)
        case Behavior.CURRENT_REPLICAS_IF_LOWER:
            return min(current, fallback.replicas)
        case Behavior.STATIC | Behavior.SCALING_MODIFIERS:
            return fallback.replicas


def _fallen_back(trigger: Trigger, fallback: Fallback, workload: Workload) -> Outcome:
    if fallback.behavior is Behavior.SCALING_MODIFIERS:
        return Nil()
    size = float(fallback_size(fallback, workload.replicas))
    if trigger.type is TargetType.VALUE:
        if workload.ready == 0:
            return Failed()
        size /= workload.ready
    # In this order and in doubles, as upstream: the cut at the end shows every rounding before it.
    return Served(int(trigger.target_milli * 0.001 * 1000 * size), is_fallback=True)
