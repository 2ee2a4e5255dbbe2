"""What the scaling engine and the rest of the operator say to each other."""

from dataclasses import dataclass
from datetime import datetime

from autoglm_api.spec import Scaling
from autoglm_api.status import Reason


@dataclass(frozen=True, slots=True)
class PoolTarget:
    """One pool as the reconciler last saw it: the input of a scaling decision."""

    scaling: Scaling
    current: int
    """Replicas asked for now (spec.replicas over all revisions), never the pods of a surge."""
    ready: int
    """Replicas that answer, over all revisions."""
    rolling_out: bool
    """True while pods of more than one revision exist."""


@dataclass(frozen=True, slots=True)
class PoolDecision:
    """The size that a pool should have, and why."""

    replicas: int
    reason: Reason
    """Why this size and no other: DesiredWithinRange, or what changed or held the size."""
    winner: str | None
    """Type of the signal whose proposal won; None when no proposal was used."""
    message: str
    """The figures, in a sentence."""
    metrics_available: bool
    """False when any signal has no usable data: condition MetricsAvailable."""
    limited: Reason | None
    """What kept the size from the proposal: condition ScalingLimited; None when nothing did."""
    at: datetime
