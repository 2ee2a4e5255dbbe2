"""One replica of the request model: a batch of queries that share its tokens/s.

The sharing is processor sharing in virtual time: a query's share of the throughput is its weight over the sum of the
weights, so one number per replica (the virtual time) orders all ends, whatever joins or leaves. A prompt has a larger
weight than an answer, because its tokens are worked on in parallel.
"""

import heapq
import math
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from autoglm_operator.simulate.service import Service

PROMPT_WEIGHT: Final = 10.0
"""How much faster a prompt's tokens are done than an answer's, in one batch."""
ANSWER_WEIGHT: Final = 1.0
RESIDUAL: Final = math.exp(0.8**2) / 2
_ROUNDING: Final = 1e-9


def rest_of_work(prompt_share: float) -> float:
    """Return the mean share of its work that a query in flight still has to do, at a random moment.

    A prompt is done PROMPT_WEIGHT times as fast as an answer, so a query in flight is mostly in its answer. The rest of
    a phase at a random moment is E[S^2] / (2 E[S]): RESIDUAL of its mean for sizes as they are (lognormal, sigma 0.8).
    """
    answer_share = 1.0 - prompt_share
    reading = prompt_share / PROMPT_WEIGHT
    in_prompt = reading / (reading + answer_share)
    return in_prompt * (RESIDUAL * prompt_share + answer_share) + (1.0 - in_prompt) * RESIDUAL * answer_share


class Phase(NamedTuple):
    """A query's prompt or answer in a batch."""

    ends: float
    """Virtual time at which it is done."""
    query: int
    is_prompt: bool


@dataclass(slots=True)
class Replica:
    """A replica and what it works on; times are seconds of the trace."""

    number: int
    service: Service
    now: float
    capacity_factor: float = 1.0
    served: float = 0.0
    """Tokens done since `take_served` was called last."""
    version: int = 0
    """Changes with every change of the batch: an event planned before it is void."""
    draining: bool = False
    phases: list[Phase] = field(default_factory=list)
    _virtual: float = 0.0
    _weight: float = 0.0

    @property
    def load(self) -> int:
        """Queries in work."""
        return len(self.phases)

    @property
    def throughput(self) -> float:
        """Tokens/s at the present batch."""
        return self.service.throughput(len(self.phases)) * self.capacity_factor

    def advance(self, now: float) -> None:
        """Work up to a time, before the next end of a phase."""
        if self.phases:
            done = self.throughput * (now - self.now)
            self.served += done
            self._virtual += done / self._weight
        self.now = now

    def admit(self, query: int, prompt_tokens: float, output_tokens: float) -> None:
        """Take a query into the batch, now."""
        if prompt_tokens > 0:
            self._begin(query, prompt_tokens, PROMPT_WEIGHT, is_prompt=True)
        else:
            self._begin(query, output_tokens, ANSWER_WEIGHT, is_prompt=False)

    def answer(self, query: int, output_tokens: float) -> None:
        """Begin a query's answer after its prompt, now."""
        self._begin(query, output_tokens, ANSWER_WEIGHT, is_prompt=False)

    def next_end(self) -> float:
        """Return when the next phase ends if nothing changes; infinity when idle."""
        if not self.phases:
            return math.inf
        left = max(0.0, self.phases[0].ends - self._virtual)
        return self.now + left * self._weight / self.throughput

    def ended(self) -> list[Phase]:
        """Remove and return the phases that end now."""
        limit = self._virtual + _ROUNDING * max(1.0, self._virtual)
        done = []
        while self.phases and self.phases[0].ends <= limit:
            phase = heapq.heappop(self.phases)
            self._weight -= PROMPT_WEIGHT if phase.is_prompt else ANSWER_WEIGHT
            done.append(phase)
        if not self.phases:
            self._weight = self._virtual = 0.0
        self.version += 1
        return done

    def take_served(self) -> float:
        """Return the tokens done since the last call."""
        served, self.served = self.served, 0.0
        return served

    def _begin(self, query: int, tokens: float, weight: float, *, is_prompt: bool) -> None:
        heapq.heappush(self.phases, Phase(self._virtual + tokens / weight, query, is_prompt))
        self._weight += weight
        self.version += 1
