"""Ray Serve's autoscaler with its defaults (ray 2.5x, serve/autoscaling_policy.py): up after 30 s, down after 600 s.

Look-back 30 s. `target_ongoing_requests` (default 2) is what its users must set by the model: here the common share of
the slots.
"""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from autoglm_operator.simulate.baselines import TARGET_SHARE
from autoglm_operator.simulate.policies import Sizing
from autoglm_operator.simulate.policy import View

LOOK_BACK_SECONDS: Final = 30.0
UP_SECONDS: Final = 30.0
DOWN_SECONDS: Final = 600.0


class _Held(NamedTuple):
    """Since when the wish has had this direction."""

    direction: int
    since: float


@dataclass(slots=True)
class RayServe:
    """A deployment's autoscaling state."""

    target: float
    minimum: int
    maximum: int
    name: str = "ray-serve"
    tick_seconds: float = 10.0
    seen: deque[tuple[float, float]] = field(default_factory=deque)
    held: _Held = field(default_factory=lambda: _Held(0, 0.0))

    def decide(self, view: View) -> int:
        """Return the size after one round."""
        if view.sampled_at is None:
            return view.current
        wanted = min(max(self._wanted(view), self.minimum), self.maximum)
        direction = (wanted > view.current) - (wanted < view.current)
        if direction != self.held.direction:
            self.held = _Held(direction, view.now)
        delay = UP_SECONDS if direction > 0 else DOWN_SECONDS
        if direction == 0 or view.now - self.held.since < delay:
            return view.current
        self.held = _Held(0, view.now)
        return wanted

    def _wanted(self, view: View) -> int:
        self.seen.append((view.now, view.queued + view.in_flight))
        while self.seen[0][0] <= view.now - LOOK_BACK_SECONDS:
            self.seen.popleft()
        ongoing = sum(value for _, value in self.seen) / len(self.seen)
        return math.ceil(view.current * (ongoing / (self.target * view.current)) - 1e-9)


def ray_serve(sizing: Sizing) -> RayServe:
    """Return the policy for replicas of this many slots."""
    target = sizing.concurrency * TARGET_SHARE
    return RayServe(target, max(1, sizing.scaling.min_replicas), sizing.scaling.max_replicas)
