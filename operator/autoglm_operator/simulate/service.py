"""What one replica can do: tokens/s as a function of how many queries it works on at once.

One decoding step for a batch of b queries takes A*b + B seconds (llm-d's model of inter-token latency), so a replica
with b queries does b / (A*b + B) tokens/s, and its capacity with a full batch. A and B follow from the capacity and
from `batching_gain`: how much faster a full batch is than one query alone.
"""

from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Service:
    """A replica of the simulated pool."""

    capacity_tokens: float = 2000.0
    """Tokens/s (prompt and output alike) of a replica with a full batch."""
    concurrency: int = 8
    """Queries in a full batch."""
    batching_gain: float = 4.0
    """Throughput of a full batch over that of one query alone; between 1 and `concurrency`."""
    startup_seconds: float = 120.0

    @property
    def _per_query_seconds(self) -> float:
        """A: seconds that each query of a batch adds to a step."""
        if self.concurrency == 1:
            return 0.0
        gain = min(max(self.batching_gain, 1.0), float(self.concurrency))
        return (self.concurrency - gain) / ((self.concurrency - 1) * self.capacity_tokens)

    @property
    def _step_seconds(self) -> float:
        """B: seconds of a step whatever the batch."""
        return self.concurrency * (1.0 / self.capacity_tokens - self._per_query_seconds)

    def throughput(self, batch: int) -> float:
        """Return the tokens/s of a replica that works on `batch` queries."""
        return batch / self.token_seconds(batch) if batch else 0.0

    def drain_seconds(self, batch: float, rest_tokens: float) -> float:
        """Return how long a replica works on after it was taken away: until the last query of its batch has ended.

        The rests of the queries' work are taken for exponential, with that mean: the next of k ends after a k-th of it.
        """
        queries = max(1, round(batch))
        return rest_tokens * (self._per_query_seconds * queries + self._step_seconds * _harmonic(queries))

    def token_seconds(self, batch: float) -> float:
        """Return how long a query waits for its next token in a batch of that size."""
        return self._per_query_seconds * batch + self._step_seconds


@lru_cache(maxsize=4096)
def _harmonic(number: int) -> float:
    return sum(1.0 / one for one in range(1, number + 1))
