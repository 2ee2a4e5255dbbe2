"""How a pool moves from one revision to the next: ready-before-remove, one step at a time.

With D replicas desired, R of the new revision Ready and a surge S = max(1, D / 4):

| situation | new revision | old revisions together |
|---|---|---|
| there is no old revision | D | - |
| R >= D | D | deleted |
| an old replica is Ready | min(D, R + S) | D - R |
| no old replica is Ready | min(D, R + S) | D - new (they give up room: nothing is lost) |

Hence at most D + S replicas are asked for, a new revision that never becomes Ready holds S replicas and never takes
capacity from the old one (which even grows when D grows), and at full Ready the old revisions are gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_SURGE_DIVISOR = 4  # 25 %


@dataclass(frozen=True, slots=True)
class RevisionState:
    """One revision's Deployment as it is now."""

    revision: str
    replicas: int
    """Replicas that are asked for (spec.replicas)."""
    ready: int
    """Replicas that answer."""
    foreign: bool = False
    """Whether its size is not what the operator wrote."""

    @property
    def lasting(self) -> int:
        """Ready replicas that its present size keeps."""
        return min(self.ready, self.replicas)


@dataclass(frozen=True, slots=True)
class RolloutPlan:
    """The next step: a size for every revision that stays, and the revisions that go."""

    sizes: Mapping[str, int]
    retired: tuple[str, ...] = ()

    @property
    def rolling_out(self) -> bool:
        """Whether more than one revision exists."""
        return len(self.sizes) > 1


def surge_of(desired: int) -> int:
    """Return how many replicas more than desired may be asked for during a rollout."""
    return max(1, desired // _SURGE_DIVISOR)


def plan(desired: int, new: RevisionState, old: Sequence[RevisionState]) -> RolloutPlan:
    """Return the next step; calling it again with nothing changed returns the same."""
    if not old:
        return RolloutPlan({new.revision: desired})
    if new.lasting >= desired:
        return RolloutPlan({new.revision: desired}, tuple(state.revision for state in old))
    new_size = min(desired, new.lasting + surge_of(desired))
    kept = desired - new.lasting if any(state.lasting for state in old) else desired - new_size
    shares = _shares(kept, old)
    retired = tuple(revision for revision, size in shares.items() if size == 0)
    staying = {revision: size for revision, size in shares.items() if size > 0}
    return RolloutPlan({new.revision: new_size} | staying, retired)


def _shares(total: int, old: Sequence[RevisionState]) -> dict[str, int]:
    """Share a total among old revisions: Ready replicas first, then those that exist; growth goes to the readiest."""
    order = sorted(old, key=lambda state: (-state.lasting, state.revision))
    shares = {state.revision: 0 for state in order}
    for limits in (lambda state: state.lasting, lambda state: state.replicas, lambda _: total):
        for state in order:
            room = total - sum(shares.values())
            shares[state.revision] += min(room, max(0, limits(state) - shares[state.revision]))
    return shares
