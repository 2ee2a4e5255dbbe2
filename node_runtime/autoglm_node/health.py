"""What the results of the canary mean. Pure; a canary is one real query of one token through the engine.

| failures in a row | verdict |
|---|---|
| 0 | healthy |
| 1 | suspect: ask again at once, not ready meanwhile |
| 2 | sick: unload and load the model (a dead Python stub stays READY for Triton; only this heals it) |
| 3 | dead: exit, and let the kubelet start a new container |
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

SICK_AFTER: Final = 2
DEAD_AFTER: Final = 3


class Verdict(Enum):
    """What to do after a canary."""

    HEALTHY = "healthy"
    SUSPECT = "suspect"
    SICK = "sick"
    DEAD = "dead"


class Canary(Enum):
    """How one canary ended. Late while other queries got tokens is busy, and busy is not ill."""

    ANSWERED = "answered"
    FAILED = "failed"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Health:
    """How many canaries in a row failed."""

    failures: int = 0

    def after(self, canary: Canary) -> "Health":
        """Return the health that one more canary leads to."""
        return Health(self.failures + 1) if canary is Canary.FAILED else Health()

    @property
    def verdict(self) -> Verdict:
        """Return what the failures so far ask for (table above)."""
        if self.failures >= DEAD_AFTER:
            return Verdict.DEAD
        if self.failures >= SICK_AFTER:
            return Verdict.SICK
        return Verdict.SUSPECT if self.failures else Verdict.HEALTHY
