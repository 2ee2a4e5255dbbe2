"""The times of every query in the request model: wait, first token, end."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from autoglm_operator.simulate.traces import Floats

WINDOW_SECONDS: Final = 60
EVERY_SECONDS: Final = 5
"""How often percentiles are worked out: no scrape is closer."""
_PERCENT: Final = 95


@dataclass(slots=True)
class Stopwatch:
    """Times by query; NaN for what has not happened."""

    arrivals: list[float]
    outputs: list[float]
    waits: list[float] = field(init=False)
    """Seconds in the queue, both times if a replica was lost in between."""
    first_tokens: list[float] = field(init=False)
    """Seconds from arrival to the first token."""
    per_token: list[float] = field(init=False)
    """Mean seconds per output token after the first."""
    _queued_at: dict[int, float] = field(default_factory=dict)
    _recent_first: deque[tuple[float, float]] = field(default_factory=deque)
    _recent_per_token: deque[tuple[float, float]] = field(default_factory=deque)
    _percentiles: tuple[float | None, float | None] = (None, None)

    def __post_init__(self) -> None:
        """Nothing has happened yet."""
        count, nan = len(self.arrivals), float("nan")
        self.waits, self.first_tokens, self.per_token = [nan] * count, [nan] * count, [nan] * count

    def started(self, query: int, now: float) -> None:
        """A replica takes a query."""
        again = self._queued_at.pop(query, None)
        self.waits[query] = now - self.arrivals[query] if again is None else self.waits[query] + now - again

    def waits_again(self, query: int, now: float) -> None:
        """A query is back in the queue, because its replica is gone."""
        self._queued_at[query] = now

    def first_token(self, query: int, now: float) -> None:
        """A query's prompt is read."""
        self.first_tokens[query] = now - self.arrivals[query]
        self._recent_first.append((now, self.first_tokens[query]))

    def done(self, query: int, now: float) -> None:
        """A query is answered."""
        begun = self.first_tokens[query]
        if begun != begun:  # noqa: PLR0124 - NaN: a query without a prompt
            return
        self.per_token[query] = (now - self.arrivals[query] - begun) / self.outputs[query]
        self._recent_per_token.append((now, self.per_token[query]))

    def percentiles(self, now: float) -> tuple[float | None, float | None]:
        """Return the 95th percentiles of first tokens and of times per token over the last minute."""
        if int(now) % EVERY_SECONDS == 0:
            self._percentiles = _p95(self._recent_first, now), _p95(self._recent_per_token, now)
        return self._percentiles

    def by_second(self, seconds: int, slo_wait_seconds: float, end: float) -> tuple[Floats, Floats]:
        """Return, per second of arrival, the queries with a wait within the objective, and the mean wait.

        A query that never started counts as waiting until `end`.
        """
        arrivals = np.array(self.arrivals)
        waits = np.array(self.waits)
        waits = np.where(np.isnan(waits), end - arrivals, waits)
        second = arrivals.astype(np.int64).clip(0, seconds - 1)
        count = np.bincount(second, minlength=seconds)
        within = np.bincount(second[waits <= slo_wait_seconds], minlength=seconds).astype(np.float64)
        total = np.bincount(second, weights=waits, minlength=seconds)
        return within, np.asarray(total / np.maximum(count, 1), dtype=np.float64)


def _p95(recent: deque[tuple[float, float]], now: float) -> float | None:
    while recent and recent[0][0] < now - WINDOW_SECONDS:
        recent.popleft()
    return float(np.percentile([value for _, value in recent], _PERCENT)) if recent else None
