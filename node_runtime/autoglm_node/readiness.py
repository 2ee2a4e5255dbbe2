"""Whether the node is ready and alive, from what it knows about itself. Pure."""

from dataclasses import dataclass, field

from autoglm_node.health import Health, Verdict
from autoglm_node.phases import Phase


@dataclass(slots=True)
class Vitals:
    """What the probes are answered from; the runner keeps it up to date.

    Triton's own /v2/health/ready is no part of it: that one turns 400 for a second on every load and unload, and
    stays READY when the engine's process is dead.
    """

    phase: Phase = Phase.VALIDATE
    health: Health = field(default_factory=Health)

    def ready(self) -> tuple[bool, str]:
        """Return whether a new query would be answered, and a sentence."""
        if self.phase is not Phase.SERVE:
            return False, f"not ready: phase {self.phase}"
        if self.health.verdict is not Verdict.HEALTHY:
            return False, f"not ready: {self.health.failures} canary queries in a row failed"
        return True, "ready: the model is loaded and the last canary query was answered"

    def alive(self) -> tuple[bool, str]:
        """Return whether the node can still get well by itself, and a sentence; false means: restart me."""
        if self.phase is Phase.FAILED or self.health.verdict is Verdict.DEAD:
            return False, "dead: the engine does not come back"
        return True, f"alive: phase {self.phase}"
