"""A `behavior` with every absent field filled in by autoscaling/v2's default."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from autoglm_api.schema import milli_units
from autoglm_api.spec import Behavior, PolicyType, ScalingRules, SelectPolicy

DOWNSCALE_STABILIZATION: Final = timedelta(seconds=300)
"""kube-controller-manager's --horizontal-pod-autoscaler-downscale-stabilization."""
DEFAULT_TOLERANCE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Policy:
    """At most `value` pods or percent in any `period`."""

    type: PolicyType
    value: int
    period: timedelta


@dataclass(frozen=True, slots=True)
class Direction:
    """The complete rules of growing or of shrinking."""

    window: timedelta
    select: SelectPolicy
    policies: tuple[Policy, ...]

    @property
    def longest_period(self) -> timedelta:
        """The longest period of any policy: how long events matter."""
        return max(policy.period for policy in self.policies)


@dataclass(frozen=True, slots=True)
class Rules:
    """Both directions, complete."""

    up: Direction
    down: Direction


@dataclass(frozen=True, slots=True)
class Tolerance:
    """Relative change that is ignored per direction."""

    up: float = DEFAULT_TOLERANCE
    down: float = DEFAULT_TOLERANCE

    def covers(self, ratio: float) -> bool:
        """Tell whether usage/target is close enough to 1 to keep the size; the limits are inclusive."""
        return 1.0 - self.down <= ratio <= 1.0 + self.up


_PERIOD: Final = timedelta(seconds=15)
_UP: Final = Direction(
    window=timedelta(0),
    select=SelectPolicy.MAX,
    policies=(Policy(PolicyType.PODS, 4, _PERIOD), Policy(PolicyType.PERCENT, 100, _PERIOD)),
)
_DOWN: Final = Direction(
    window=DOWNSCALE_STABILIZATION,
    select=SelectPolicy.MAX,
    policies=(Policy(PolicyType.PERCENT, 100, _PERIOD),),
)


def complete(behavior: Behavior) -> Rules:
    """Return the behaviour with autoscaling/v2's defaults where a field is absent.

    | field                      | scaleUp                    | scaleDown     |
    |----------------------------|----------------------------|---------------|
    | stabilizationWindowSeconds | 0                          | 300           |
    | selectPolicy               | Max                        | Max           |
    | policies                   | Pods 4/15 s, Percent 100/15 s | Percent 100/15 s |
    """
    return Rules(up=_completed(behavior.scale_up, _UP), down=_completed(behavior.scale_down, _DOWN))


def tolerance_of(behavior: Behavior | None, default: Tolerance | None = None) -> Tolerance:
    """Return the tolerance of each direction; the default (the controller's, 0.1) where none is given."""
    given, default = behavior or Behavior(), default or Tolerance()
    return Tolerance(up=_tolerance(given.scale_up, default.up), down=_tolerance(given.scale_down, default.down))


def _tolerance(given: ScalingRules | None, default: float) -> float:
    if given is None or given.tolerance is None:
        return default
    # Times 0.001 and not divided by 1000: the doubles differ, and upstream multiplies by a power of ten.
    return milli_units(given.tolerance) * 0.001


def _completed(given: ScalingRules | None, default: Direction) -> Direction:
    if given is None:
        return default
    window = given.stabilization_window_seconds
    return Direction(
        window=default.window if window is None else timedelta(seconds=window),
        select=given.select_policy or default.select,
        policies=default.policies if given.policies is None else _policies(given),
    )


def _policies(given: ScalingRules) -> tuple[Policy, ...]:
    return tuple(
        Policy(policy.type, policy.value, timedelta(seconds=policy.period_seconds)) for policy in given.policies or ()
    )
