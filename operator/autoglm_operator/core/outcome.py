"""What a reconcile answers: actions with reasons, status, events, memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from autoglm_api.status import Status
from autoglm_operator.core.keys import JSON, ChildRef, ref_of
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.pool_scale import ScaleReport
from autoglm_operator.core.pools import PoolPlan


@dataclass(frozen=True, slots=True)
class Apply:
    """Write our fields of one child by server-side apply."""

    body: JSON
    because: str
    uid: str | None
    """UID of the live object; None creates it."""

    @property
    def ref(self) -> ChildRef:
        """The child."""
        return ref_of(self.body)


@dataclass(frozen=True, slots=True)
class Scale:
    """Set a Deployment's replicas through its scale subresource."""

    ref: ChildRef
    replicas: int
    because: str


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete one of our children, and only that one: the UID is a precondition."""

    ref: ChildRef
    uid: str
    because: str


Action = Apply | Scale | Delete


@dataclass(frozen=True, slots=True)
class Event:
    """Something a user should read in `kubectl describe`."""

    reason: str
    note: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The whole answer of one reconcile."""

    status: Status
    memory: Memory
    objects: tuple[JSON, ...] = ()
    """Every child that should exist."""
    actions: tuple[Action, ...] = ()
    """What differs from that, in the order in which to do it."""
    events: tuple[Event, ...] = ()
    reports: tuple[ScaleReport, ...] = ()
    """What is new in the status of AutoGLMPoolScales."""
    pools: Mapping[str, PoolPlan] = field(default_factory=dict)
    """Empty while nothing may be changed (paused, unreadable)."""
    requeue_after: timedelta | None = None
