"""When memory runs short: from how much is in use to what is done about it. Pure; one tick a second.

| share in use | level | what the node does |
|---|---|---|
| 80 % for 3 ticks | Reclaim | says so in a metric (a reason to add replicas); the engine gives unused memory back |
| 80 % for 6 ticks | SmallOnly | also takes only half as many long prompts at once |
| 92 % | Shed | takes no new query: 503 with retry-after, so that the gateway asks another replica |
| 95 % for 3 ticks | Recycle | finishes what is inside, then replaces the engine's process |

It is over at 70 % and below; Shed steps back to SmallOnly below 85 %. A GPU's pool of key-value blocks is full by
design, so it counts for the first two levels only: no replica is recycled because it is busy.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

ENTER: Final = 0.80
LEAVE: Final = 0.70
SHED: Final = 0.92
SHED_LEAVE: Final = 0.85
RECYCLE: Final = 0.95
TICKS: Final = 3


class Level(IntEnum):
    """What is done; each level includes those before it."""

    CALM = 0
    RECLAIM = 1
    SMALL_ONLY = 2
    SHED = 3
    RECYCLE = 4


@dataclass(frozen=True, slots=True)
class Use:
    """Shares in use, 0 to 1; None where there is no limit or no such memory."""

    host: float | None = None
    device: float | None = None

    @property
    def most(self) -> float:
        """Return the larger share; 0 when nothing is limited."""
        return max(self.host or 0.0, self.device or 0.0)


@dataclass(frozen=True, slots=True)
class Guard:
    """The level, and for how many ticks in a row memory has been high or full."""

    level: Level = Level.CALM
    high: int = 0
    full: int = 0

    def after(self, use: Use) -> "Guard":
        """Return the guard after one more tick."""
        if use.most <= LEAVE:
            return Guard()
        host = use.host or 0.0
        high = self.high + 1 if use.most >= ENTER else 0
        full = self.full + 1 if host >= RECYCLE else 0
        return Guard(self._level(host, high, full), high, full)

    def _level(self, host: float, high: int, full: int) -> Level:
        if full >= TICKS:
            return Level.RECYCLE
        if host >= (SHED_LEAVE if self.level >= Level.SHED else SHED):
            return Level.SHED
        return max(_by_ticks(high), min(self.level, Level.SMALL_ONLY))


def _by_ticks(high: int) -> Level:
    if high >= 2 * TICKS:
        return Level.SMALL_ONLY
    return Level.RECLAIM if high >= TICKS else Level.CALM


def long_seats(cap: int, level: Level) -> int:
    """Return how many long prompts may be inside at once, of `cap` queries."""
    return max(1, cap // 2) if level >= Level.SMALL_ONLY else cap
