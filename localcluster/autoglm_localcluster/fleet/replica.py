"""One simulated replica: its slots, its queue and what it counts."""

import asyncio
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge

from autoglm_api import names
from autoglm_localcluster.fleet.profile import Profile

MODEL: Final = "simulated"


class FullError(Exception):
    """All slots are taken and the queue is full."""


class Replica:
    """State of one address."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        registry = self.registry
        self.in_flight = Gauge(names.METRIC_NODE_IN_FLIGHT, "Queries inside", registry=registry)
        self.queries = Counter(names.METRIC_NODE_QUERIES, "Queries by HTTP status", ["code"], registry=registry)
        self.rejected = Counter(names.METRIC_NODE_REJECTED, "Refused queries", ["reason"], registry=registry)
        self.prompt_tokens = Counter(names.METRIC_NODE_PROMPT_TOKENS, "Prompt tokens", registry=registry)
        self.output_tokens = Counter(names.METRIC_NODE_OUTPUT_TOKENS, "Tokens produced", registry=registry)
        Gauge(names.METRIC_NODE_MODEL_READY, "Always 1", ["model"], registry=registry).labels(model=MODEL).set(1)
        Gauge(names.METRIC_NODE_DRAINING, "Always 0", registry=registry).set(0)
        self._running = 0
        self._waiting: list[asyncio.Future[None]] = []

    async def enter(self, profile: Profile) -> None:
        """Take a slot, waiting in arrival order; `leave` must follow.

        Raises:
            FullError: there is no room to wait either.
        """
        if len(self._waiting) >= profile.queued and self._running >= profile.slots:
            self.rejected.labels(reason="full").inc()
            raise FullError
        self.in_flight.inc()
        if self._running < profile.slots:
            self._running += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._give_up(turn)
            raise

    def leave(self) -> None:
        """Give the slot to the next in line."""
        self.in_flight.dec()
        while self._waiting:
            turn = self._waiting.pop(0)
            if not turn.done():
                turn.set_result(None)
                return
        self._running -= 1

    def _give_up(self, turn: asyncio.Future[None]) -> None:
        """A client left while it waited, possibly at the moment when it was given the slot."""
        if not turn.cancelled():
            self.leave()
            return
        if turn in self._waiting:
            self._waiting.remove(turn)
        self.in_flight.dec()
