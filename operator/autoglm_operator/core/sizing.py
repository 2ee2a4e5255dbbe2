"""Who decides a pool's size, and what it is.

| mode in force | size |
|---|---|
| Internal | the scaling engine's last decision, within the bounds |
| External | what the pool's AutoGLMPoolScale asks for, within the bounds |
| Advisory | what exists: whoever set it keeps it |

A conflict (somebody else writes the size of our Deployments) leaves only Advisory, whatever the spec says.
"""

from dataclasses import dataclass

from autoglm_api.spec import Mode, Pool
from autoglm_api.status import Reason
from autoglm_operator.core.desired import Bounds, Past


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
    stopped: bool = False
    """Whether no query wakes the pool: somebody took all replicas away by hand, or growing is paused."""

    hindrance: Reason | None = None
    """What keeps the size, or its replicas, from what was decided: an annotation, a quota."""

    @property
    def limited(self) -> Reason | None:
        """What kept an external size from being carried out."""
        if self.mode is not Mode.EXTERNAL or self.asked is None or self.asked == self.desired:
            return None
        return Reason.TOO_MANY_REPLICAS if self.asked > self.desired else Reason.TOO_FEW_REPLICAS


def sizing(pool: Pool, held: int, asked: int | None, conflict: str, past: Past, bounds: Bounds) -> Sizing:
    """Return a pool's size; `held` is the size by decision, or what a pool without one keeps."""
    mode = Mode.ADVISORY if conflict else pool.scaling.mode
    match mode:
        case Mode.INTERNAL:
            desired = held
        case Mode.EXTERNAL:
            desired = bounds.around(held if asked is None else asked)
        case Mode.ADVISORY:
            desired = _existing(held, past)
    return Sizing(mode, desired, asked, conflict)


def _existing(held: int, past: Past) -> int:
    """Return the size that exists, even out of bounds; while a rollout runs that of its beginning.

    A pool that is not there yet starts as any other.
    """
    if len(past.states) == 1:
        return past.states[0].replicas
    return held if past.before is None else past.before.desired_replicas
