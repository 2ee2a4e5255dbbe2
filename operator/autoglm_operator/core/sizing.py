"""Who decides a pool's size, and what it is.

| mode in force | size |
|---|---|
| Internal | the scaling engine's last decision, within the bounds |
| External | what the pool's AutoGLMPoolScale asks for, within the bounds |
| Advisory | what exists: whoever set it keeps it |

A conflict (somebody else writes the size of our Deployments) leaves only Advisory, whatever the spec says.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from autoglm_api.spec import Mode, Pool
from autoglm_api.status import PoolStatus, Reason
from autoglm_operator.core.rollout import RevisionState


@dataclass(frozen=True, slots=True)
class Sizing:
    """A pool's size, and who decides it."""

    mode: Mode
    """The mode in force."""
    desired: int
    asked: int | None = None
    """spec.replicas of the pool's AutoGLMPoolScale."""
    conflict: str = ""
    """Who else writes the pool's size, in words; empty: nobody."""

    @property
    def limited(self) -> Reason | None:
        """What kept an external size from being carried out."""
        if self.mode is not Mode.EXTERNAL or self.asked is None or self.asked == self.desired:
            return None
        return Reason.TOO_MANY_REPLICAS if self.asked > self.desired else Reason.TOO_FEW_REPLICAS


def sizing(
    pool: Pool, held: int, asked: int | None, conflict: str, before: PoolStatus | None, states: Sequence[RevisionState]
) -> Sizing:
    """Return a pool's size; `held` is the size by decision, or what a pool without one keeps."""
    mode = Mode.ADVISORY if conflict else pool.scaling.mode
    match mode:
        case Mode.INTERNAL:
            desired = held
        case Mode.EXTERNAL:
            desired = _bounded(pool, held if asked is None else asked)
        case Mode.ADVISORY:
            desired = _existing(held, before, states)
    return Sizing(mode, desired, asked, conflict)


def _bounded(pool: Pool, size: int) -> int:
    return max(pool.scaling.min_replicas, min(size, pool.scaling.max_replicas))


def _existing(held: int, before: PoolStatus | None, states: Sequence[RevisionState]) -> int:
    """Return the size that exists, even out of bounds; while a rollout runs that of its beginning.

    A pool that is not there yet starts as any other.
    """
    if len(states) == 1:
        return states[0].replicas
    return held if before is None else before.desired_replicas
