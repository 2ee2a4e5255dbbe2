"""llm-d workload-variant-autoscaler V2 (2026-02), 60 s loop, actuated by an HPA with AverageValue 1 (v1.36, 15 s).

V2 counts KV-cache tokens in use and queued; the simulator's replicas have slots instead, a query's tokens being one
slot: demand = in flight + queued, k1 = 0.80 of the slots, k2 = all slots (what a saturated replica has in use).
Required = demand/0.85 - (ready + pending) * min(k1, k2); spare = ready * min(k1, k2) - demand/0.70.
"""

import math
from dataclasses import dataclass, field
from typing import Final

from autoglm_operator.simulate.baselines.hpa import Hpa, on_advice
from autoglm_operator.simulate.policies import Sizing
from autoglm_operator.simulate.policy import View

LOOP_SECONDS: Final = 60.0
KV_SHARE: Final = 0.80
UP_SHARE: Final = 0.85
DOWN_SHARE: Final = 0.70


@dataclass(slots=True)
class Wva:
    """The optimiser's advice and the HPA that follows it."""

    sizing: Sizing
    name: str = "wva"
    advice: int = 0
    due: float = 0.0
    hpa: Hpa = field(init=False)
    tick_seconds: float = field(init=False)

    def __post_init__(self) -> None:
        self.hpa = on_advice(self.sizing, self.name, lambda: self.advice)
        self.tick_seconds = self.hpa.tick_seconds

    def decide(self, view: View) -> int:
        """Return the size after one sync of the HPA."""
        if view.sampled_at is not None and view.now >= self.due:
            self.due = view.now + LOOP_SECONDS
            self.advice = self._advised(view)
        # The advice is a metric of the optimiser: it outlives the engines' metrics, and stays as it is.
        return self.hpa.decide(view) if self.advice else view.current

    def _advised(self, view: View) -> int:
        capacity = KV_SHARE * self.sizing.concurrency
        demand = view.in_flight + view.queued
        required = demand / UP_SHARE - view.current * capacity
        spare = view.ready * capacity - demand / DOWN_SHARE
        if required > 0:
            return view.current + math.ceil(required / capacity)
        if spare >= capacity:
            return max(1, view.current - math.floor(spare / capacity))
        return view.current


def wva(sizing: Sizing) -> Wva:
    """Return the policy."""
    return Wva(sizing)
