"""The size that never changes: static peak, the yardstick of cost."""

import math
from dataclasses import dataclass

from autoglm_operator.simulate.policies import Sizing
from autoglm_operator.simulate.policy import View

TARGET_USE = 0.85
"""Share of its capacity at which a replica is planned, here and for the clairvoyant oracle."""


@dataclass(slots=True)
class Static:
    """Always the same size."""

    replicas: int
    tick_seconds: float = 60.0
    name: str = "static"

    def decide(self, view: View) -> int:  # noqa: ARG002 - the protocol's signature
        """Return the size."""
        return self.replicas


def static_peak(sizing: Sizing) -> Static:
    """Return the size that carries the highest 60 s mean of the trace: clairvoyant, within the bounds."""
    return Static(max(1, math.ceil(sizing.peak_tokens / (sizing.capacity_tokens * TARGET_USE) - 1e-9)))
