"""Tells how late the event loop is: one slow callback holds up every query of this gateway."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

log = logging.getLogger(__name__)

_PERIOD_SECONDS: Final = 0.1
_LATE_SECONDS: Final = 0.5


class Watchdog:
    """Wakes ten times a second and tells `late(seconds)` by how much it was late."""

    def __init__(self, late: Callable[[float], None]) -> None:
        self._late = late
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin; needs a running event loop."""
        loop = asyncio.get_running_loop()
        due = loop.time() + _PERIOD_SECONDS
        self._timer = loop.call_at(due, self._woke, due)

    def stop(self) -> None:
        """Stop."""
        if self._timer is not None:
            self._timer.cancel()

    def _woke(self, due: float) -> None:
        lag = max(0.0, asyncio.get_running_loop().time() - due)
        self._late(lag)
        if lag > _LATE_SECONDS:
            log.warning("the event loop was held up for %.2f s", lag)
        self.start()
