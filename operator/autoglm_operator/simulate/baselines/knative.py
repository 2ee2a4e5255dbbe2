"""Knative's pod autoscaler with its defaults (serving v0.51): windows 60 s and 6 s, 70 %, panic at 200 %, tick 2 s.

Its metric is the concurrency: queries that wait or are worked on, over all replicas. The real one scrapes each pod
every second; here every second gets the figure of the last scrape.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from autoglm_operator.scaling import kpa
from autoglm_operator.simulate.baselines import EPOCH, TARGET_SHARE
from autoglm_operator.simulate.policies import Sizing
from autoglm_operator.simulate.policy import View

_START: Final = datetime.fromtimestamp(EPOCH, UTC)
_KEPT_SECONDS: Final = 2 * 60


@dataclass(slots=True)
class Knative:
    """A decider and its memory."""

    profile: kpa.Profile
    minimum: int
    maximum: int
    name: str = "kpa"
    tick_seconds: float = kpa.TICK.total_seconds()
    memory: kpa.Memory | None = None
    buckets: deque[kpa.Bucket] = field(default_factory=lambda: deque(maxlen=_KEPT_SECONDS))

    def decide(self, view: View) -> int:
        """Return the size after one tick."""
        now = _START + timedelta(seconds=view.now)
        memory = self.memory or kpa.started(view.ready, now)
        self._record(view)
        seen = kpa.averages(tuple(self.buckets), EPOCH + int(view.now))
        stable, panic = seen or (None, None)
        scale, self.memory = kpa.decide(stable, panic, view.ready, self.profile, memory, now)
        return view.current if scale.size is None else kpa.bounded(scale.size, self.minimum, self.maximum)

    def _record(self, view: View) -> None:
        """Fill the seconds since the last tick; pods that do not answer count as the mean of the others."""
        if view.sampled_at is None or view.partial >= 1:
            return
        now = EPOCH + int(view.now)
        value = (view.queued + view.in_flight) / (1.0 - view.partial)
        last = max(now - int(self.tick_seconds), self.buckets[-1].second if self.buckets else 0)
        self.buckets.extend(kpa.Bucket(second, value) for second in range(last + 1, now + 1))


def knative(sizing: Sizing) -> Knative:
    """Return the KPA for replicas of this many slots."""
    profile = kpa.Profile.of(sizing.concurrency, TARGET_SHARE)
    return Knative(profile, max(1, sizing.scaling.min_replicas), sizing.scaling.max_replicas)
