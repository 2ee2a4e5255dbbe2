"""Bounds and the last step to zero: what Knative's reconciler makes of the size that a tick wants.

Source: knative serving v0.51 pkg/reconciler/autoscaling/kpa/scaler.go.
"""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

GRACE: Final = timedelta(seconds=30)
ACTIVATION_TIMEOUT: Final = timedelta(seconds=600 + 10)
"""The revision's progress deadline, and 10 s for it to tell first why its pods fail."""


class Activity(StrEnum):
    """The autoscaler's Active condition: Unknown, True or False."""

    ACTIVATING = "Activating"
    ACTIVE = "Active"
    INACTIVE = "Inactive"


@dataclass(frozen=True, slots=True)
class Path:
    """Where the revision stands on its way to zero."""

    activity: Activity
    lasted: timedelta
    """How long it has been so."""
    activator_answers: bool = False
    """The probe says that queries pass through the activator; with a burst capacity of -1 they always do."""
    proxied: timedelta = timedelta(0)
    """How long queries have passed through the activator."""


@dataclass(frozen=True, slots=True)
class ZeroRules:
    """When the last pod may go."""

    enabled: bool = True
    stable_window: timedelta = timedelta(seconds=60)
    grace: timedelta = GRACE
    retention: timedelta = timedelta(0)


class LastStep(NamedTuple):
    """The size to report, and whether it may be written."""

    size: int
    write: bool


def bounded(size: int, minimum: int, maximum: int) -> int:
    """Return the size within the bounds; a maximum of 0 is none."""
    if size < minimum:
        return minimum
    return maximum if maximum and size > maximum else size


def last_step(size: int, path: Path, rules: ZeroRules) -> LastStep:
    """Return what becomes of a wanted size; everything but zero is written as it is.

    | activity   | lasted / probe / proxied                               | size    | written |
    |------------|--------------------------------------------------------|---------|---------|
    | (disabled) |                                                        | 1       | yes     |
    | Activating | longer than the activation timeout                     | 0       | yes     |
    | Activating | shorter                                                | unknown | no      |
    | Active     | the stable window: becomes Inactive                    | 0       | no      |
    | Active     | shorter                                                | 1       | yes     |
    | Inactive   | activator answers; grace and retention are over        | 0       | yes     |
    | Inactive   | activator answers; proxied for the grace, and retained | 0       | yes     |
    | Inactive   | else                                                   | 0       | no      |
    """
    if size != 0:
        return LastStep(size, write=True)
    if not rules.enabled:
        return LastStep(1, write=True)
    match path.activity:
        case Activity.ACTIVATING:
            is_over = path.lasted > ACTIVATION_TIMEOUT
            return LastStep(0 if is_over else -1, write=is_over)
        case Activity.ACTIVE:
            is_idle = path.lasted >= rules.stable_window
            return LastStep(0 if is_idle else 1, write=not is_idle)
        case Activity.INACTIVE:
            return LastStep(0, write=_may_go(path, rules))


def _may_go(path: Path, rules: ZeroRules) -> bool:
    covered = path.proxied >= rules.grace or path.lasted >= rules.grace
    return path.activator_answers and covered and path.lasted >= rules.retention
