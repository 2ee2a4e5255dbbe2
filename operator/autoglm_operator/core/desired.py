"""The size that a pool should have by the scaling engine's word, and what stands above that word.

| situation, first row that fits                                          | size before the bounds           |
|--------------------------------------------------------------------------|----------------------------------|
| may sleep; all replicas were taken away by somebody else                 | 0: the engine is to hear of it   |
| may sleep, sleeps; somebody else gave it replicas                        | those: the engine is to hear     |
| decided, and autoglm.dev/paused-scale-in                                 | not below what it had            |
| decided, and autoglm.dev/paused-scale-out                                | not above what it had            |
| decided                                                                  | the decision                     |
| not decided (an operator that just started), reported before             | the larger of report and revision|
| not decided, and the report was lost                                     | all revisions together           |
| a pool that never was                                                    | the minimum                      |

So a restart never shrinks a pool. Elsewhere a foreign change of the size is undone; only where 0 is a normal size is it
a person's word, which the engine then takes up (or not) in its next decision.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from autoglm_api.spec import Scaling
from autoglm_api.status import PoolStatus
from autoglm_operator.core.deployment import Pauses
from autoglm_operator.core.rollout import RevisionState
from autoglm_operator.scaling.model import PoolDecision
from autoglm_operator.scaling.schedule import scheduled

# The engine raises a pool before a window opens, by the start-up time that it has learned.
_AHEAD: Final = timedelta(hours=1)


class Bounds(NamedTuple):
    """Between what a pool's size lies now."""

    minimum: int
    maximum: int

    def around(self, size: int) -> int:
        """Return the size within the bounds."""
        return max(self.minimum, min(size, self.maximum))


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a pool's size."""

    decision: PoolDecision | None = None
    basis: int | None = None
    """The size for which the decision was made."""
    before: PoolStatus | None = None
    """What was reported last."""
    states: Sequence[RevisionState] = ()
    """The revisions that exist."""

    @property
    def held(self) -> int:
        """The size without any decision."""
        sizes = [state.replicas for state in self.states]
        return sum(sizes) if self.before is None else max([self.before.desired_replicas, *sizes])


def bounds_of(scaling: Scaling, now: datetime) -> Bounds:
    """Return the bounds by the spec and its schedules; a window that opens soon may already raise the largest size."""
    present, soon = scheduled(scaling, now), scheduled(scaling, now, _AHEAD)
    return Bounds(present.minimum, max(present.maximum, soon.maximum))


def may_sleep(scaling: Scaling) -> bool:
    """Tell whether 0 is a normal size of the pool, at least in some window of time."""
    return min([scaling.min_replicas, *(one.min_replicas for one in scaling.schedules or ())]) == 0


def desired_size(past: Past, bounds: Bounds, pauses: Pauses) -> int:
    """Return a pool's size within its bounds."""
    overruled = _overruled(past) if bounds.minimum == 0 else None
    if overruled is not None:
        return bounds.around(overruled)
    if past.decision is None:
        return bounds.around(past.held)
    return bounds.around(_unless_paused(past.decision.replicas, past, pauses))


def is_stopped(past: Past, bounds: Bounds) -> bool:
    """Tell whether somebody else has just taken all replicas away from a pool that may sleep."""
    return bounds.minimum == 0 and _overruled(past) == 0


def _overruled(past: Past) -> int | None:
    """Return the size that somebody else has given to a sleeping pool, or 0 where they put it to sleep.

    A size that our own writer has set never counts, so a write of ours that is late is not taken for a person's.
    """
    if not any(state.foreign for state in past.states):
        return None
    total = sum(state.replicas for state in past.states)
    decided = None if past.decision is None else (past.basis, past.decision.replicas)
    if total == 0:
        return 0 if decided is None or 0 not in decided else None
    return total if decided == (0, 0) else None


def _unless_paused(size: int, past: Past, pauses: Pauses) -> int:
    had = past.held if past.states else size
    if pauses.scale_in:
        size = max(size, had)
    return min(size, had) if pauses.scale_out else size
