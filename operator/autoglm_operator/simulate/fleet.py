"""The replicas of a pool as counts: asked for, waiting for room, starting, ready, draining."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple


class Batch(NamedTuple):
    """Replicas that change state together."""

    at: float
    """When they become ready, or are gone."""
    size: int


@dataclass(slots=True)
class Fleet:
    """A pool under a size that is asked for; times are seconds of the trace."""

    startup_seconds: float
    drain_seconds: float
    """How long a replica that is taken away keeps its GPU; it may change with the load."""
    ready: int = 0
    quota: int | None = None
    """Most replicas that the cluster has room for; None: no end of room."""
    pending: int = 0
    """Replicas that wait for room."""
    pending_since: float | None = None
    became_ready: int = 0
    """Replicas that have become ready since `seen` was called last."""
    _starting: deque[Batch] = field(default_factory=deque)
    _draining: deque[Batch] = field(default_factory=deque)

    @property
    def starting(self) -> int:
        """Replicas that have room and are not ready yet."""
        return sum(batch.size for batch in self._starting)

    @property
    def held(self) -> int:
        """Replicas that occupy GPUs: starting, ready and draining."""
        return self.starting + self.ready + sum(batch.size for batch in self._draining)

    def advance(self, now: float) -> None:
        """Let time pass: replicas become ready, drained ones go, waiting ones take the room that there is."""
        while self._starting and self._starting[0].at <= now:
            count = self._starting.popleft().size
            self.ready += count
            self.became_ready += count
        while self._draining and self._draining[0].at <= now:
            self._draining.popleft()
        if self.pending:
            waiting, self.pending = self.pending, 0
            self._place(waiting, now)

    def resize(self, size: int, now: float) -> None:
        """Ask for a size: new replicas start; superfluous ones go in the order waiting, starting, ready."""
        change = size - (self.ready + self.starting + self.pending)
        if change > 0:
            self._place(change, now)
        elif change < 0:
            self._remove(-change, now)

    def limit(self, quota: int | None, now: float) -> None:
        """Change the room of the cluster; what runs stays."""
        self.quota = quota
        self.advance(now)

    def lose(self, count: int, now: float) -> None:
        """Lose ready replicas with their nodes at once; the pool asks for as many new ones."""
        lost = min(count, self.ready)
        self.ready -= lost
        self._place(lost, now)

    def seen(self) -> int:
        """Return how many replicas have become ready since the last call."""
        count, self.became_ready = self.became_ready, 0
        return count

    def drained_to(self, count: int) -> None:
        """Leave only so many draining replicas: the queries of the others have ended."""
        if sum(batch.size for batch in self._draining) > count:
            self._draining = deque([Batch(math.inf, count)] if count else [])

    def _place(self, count: int, now: float) -> None:
        room = count if self.quota is None else min(count, max(0, self.quota - self.held))
        if room:
            self._starting.append(Batch(now + self.startup_seconds, room))
        self.pending += count - room
        self.pending_since = (self.pending_since if self.pending_since is not None else now) if self.pending else None

    def _remove(self, count: int, now: float) -> None:
        waiting = min(count, self.pending)
        self.pending -= waiting
        if not self.pending:
            self.pending_since = None
        count -= waiting
        while count and self._starting:
            batch = self._starting.pop()
            kept = max(0, batch.size - count)
            count -= batch.size - kept
            if kept:
                self._starting.append(batch._replace(size=kept))
        if count:
            self.ready -= count
            self._draining.append(Batch(now + self.drain_seconds, count))
