"""A trace: what arrives, second by second, and query by query where that is known.

The fluid model reads `Rates` alone; the request model needs `Queries`. Superposing time-shifted copies lowers the
relative burstiness (by 1/sqrt(n)); multiplying the rates keeps it, which is the worst case.
"""

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
PROMPT_SHARE: Final = 0.7
"""Where a trace does not tell prompts from answers."""
LONGEST_SECONDS: Final = 31 * 86400


class TraceError(ValueError):
    """A trace cannot be used; the message is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Rates:
    """What arrives in each second: element i is for [i, i+1)."""

    queries: Floats
    tokens: Floats
    prompt_share: float = PROMPT_SHARE
    """Share of the tokens that are prompts', over the whole trace."""

    @property
    def seconds(self) -> int:
        """Length of the trace."""
        return len(self.queries)

    def multiplied(self, factor: float) -> "Rates":
        """Return the same trace with `factor` times as much."""
        return replace(self, queries=self.queries * factor, tokens=self.tokens * factor)

    def superposed(self, copies: int) -> "Rates":
        """Return the sum of copies that are shifted in time, evenly over the trace and around its end."""
        shifts = [round(copy * self.seconds / copies) for copy in range(copies)]
        return replace(
            self,
            queries=np.sum([np.roll(self.queries, shift) for shift in shifts], axis=0),
            tokens=np.sum([np.roll(self.tokens, shift) for shift in shifts], axis=0),
        )

    def peak_tokens(self, window_seconds: int = 60) -> float:
        """Return the highest mean of tokens/s over a full window."""
        full = min(window_seconds, self.seconds) - 1
        return float(trailing_mean(self.tokens, window_seconds)[full:].max())


@dataclass(frozen=True, slots=True)
class Queries:
    """Every query of a trace, in order of arrival."""

    at: Floats
    """Seconds since the start."""
    prompt_tokens: Floats
    output_tokens: Floats

    def rates(self, seconds: int | None = None) -> Rates:
        """Return what arrives in each second; `seconds` is the length (default: up to the latest query)."""
        index = self.at.astype(np.int64)
        length = seconds or int(index.max()) + 1
        tokens = self.prompt_tokens + self.output_tokens
        return Rates(
            np.bincount(index, minlength=length).astype(np.float64)[:length],
            np.bincount(index, weights=tokens, minlength=length)[:length].astype(np.float64),
            float(self.prompt_tokens.sum() / max(1.0, tokens.sum())),
        )

    def multiplied(self, factor: float, rng: np.random.Generator) -> "Queries":
        """Return every query `factor` times at the same moment; a fraction is drawn by chance."""
        copies = np.full(len(self.at), int(factor)) + (rng.random(len(self.at)) < factor % 1)
        return self.where(np.repeat(np.arange(len(self.at)), copies))

    def superposed(self, copies: int, seconds: int) -> "Queries":
        """Return the queries of copies that are shifted in time, as `Rates.superposed` does."""
        shifts = [float(round(copy * seconds / copies)) for copy in range(copies)]
        at = np.concatenate([(self.at + shift) % seconds for shift in shifts])
        together = Queries(at, np.tile(self.prompt_tokens, copies), np.tile(self.output_tokens, copies))
        return together.ordered()

    def drawn(self, share: float, rng: np.random.Generator) -> "Queries":
        """Return a share of the queries, by chance."""
        return self.where(np.flatnonzero(rng.random(len(self.at)) < share))

    def ordered(self) -> "Queries":
        """Return the same in order of arrival."""
        return self.where(np.argsort(self.at, kind="stable"))

    def where(self, rows: NDArray[np.int64]) -> "Queries":
        """Return the queries of some rows, in the order of the rows."""
        return Queries(self.at[rows], self.prompt_tokens[rows], self.output_tokens[rows])


@dataclass(frozen=True, slots=True)
class Trace:
    """A named trace."""

    name: str
    rates: Rates
    queries: Queries | None = None
    """None when only rates are known; `queries_for` then draws some."""


def trailing_mean(values: Floats, window: int) -> Floats:
    """Return the mean of the last `window` elements at each element; at the start, of those that there are."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(0, stop - window)
    return np.asarray((total[stop] - total[start]) / (stop - start), dtype=np.float64)


def queries_for(rates: Rates, rng: np.random.Generator, *, spread: float = 0.8) -> Queries:
    """Draw queries that follow rates: places in the second even, sizes lognormal with sigma `spread`, tokens kept."""
    whole = np.floor(rates.queries) + (rng.random(rates.seconds) < rates.queries % 1)
    second = np.repeat(np.arange(rates.seconds), whole.astype(np.int64))
    mean = np.divide(rates.tokens, rates.queries, out=np.zeros(rates.seconds), where=rates.queries > 0)[second]
    size = mean * rng.lognormal(-(spread**2) / 2, spread, len(second))
    drawn = np.bincount(second, weights=size, minlength=rates.seconds)
    size *= np.divide(rates.tokens, drawn, out=np.ones(rates.seconds), where=drawn > 0)[second]
    output = np.maximum(1.0, size * (1 - rates.prompt_share))
    return Queries(second + rng.random(len(second)), np.maximum(0.0, size - output), output).ordered()
