"""When this gateway has more to do than its processor can: new queries are refused at once instead of all being late.

Pure: fed by the event loop's watchdog.
"""

import math
from typing import Final

WAKES_SECONDS: Final = 0.1
"""The watchdog wakes so often when nothing holds it up."""
MEMORY_SECONDS: Final = 5.0
SHED_SECONDS: Final = 2.0
"""New queries are refused while the event loop has been late by so much on average over the last seconds."""
RETRY_SECONDS: Final = 2
_LONGEST_SECONDS: Final = 5.0


class Pressure:
    """How late the event loop has been lately, averaged over time: one long pause alone is no overload."""

    def __init__(self) -> None:
        self.late_seconds = 0.0

    def lagged(self, seconds: float) -> None:
        """Take in one wake of the watchdog that came so late; it counts as long as it lasted, within reason."""
        late = min(seconds, _LONGEST_SECONDS)
        weight = 1.0 - math.exp(-min(WAKES_SECONDS + late, _LONGEST_SECONDS / 2) / MEMORY_SECONDS)
        self.late_seconds += weight * (late - self.late_seconds)

    @property
    def sheds(self) -> bool:
        """Whether a new query is better refused."""
        return self.late_seconds > SHED_SECONDS
