"""The fluid model: tokens flow through one FIFO queue in steps of a second.

It knows no single query, so its cost does not depend on the load: a day at 100,000 queries/s on 1,000 replicas takes
seconds. A query's wait is the time until all tokens that arrived before it are done: exact for a fluid, and close to
the request model for pools of tens of replicas.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from autoglm_operator.simulate.fleet import Fleet
from autoglm_operator.simulate.meter import Second
from autoglm_operator.simulate.policy import Policy
from autoglm_operator.simulate.replay import Result, Run, replay
from autoglm_operator.simulate.replica import rest_of_work
from autoglm_operator.simulate.service import Service
from autoglm_operator.simulate.traces import Floats, Rates


@dataclass(slots=True)
class Fluid:
    """A pool as a queue of tokens and a rate."""

    rates: Rates
    service: Service
    fleet: Fleet
    queued_tokens: float = 0.0
    served: list[float] = field(default_factory=list)
    """Tokens done in each second."""
    _tokens: list[float] = field(init=False)
    _queries: list[float] = field(init=False)
    _arrived: list[float] = field(init=False)
    """Tokens that arrived before each second."""
    _counted: list[float] = field(init=False)
    """Queries that arrived before each second."""
    _oldest: int = 0
    """First second with tokens that are not done."""
    _last_capacity: float = 0.0
    _in_flight: float = 0.0
    _rest_tokens: float = field(init=False)
    """Mean work that is left of a query in flight."""

    def __post_init__(self) -> None:
        """Leave numpy for the loop: single elements of lists are faster."""
        self._tokens, self._queries = self.rates.tokens.tolist(), self.rates.queries.tolist()
        self._arrived = [0.0, *np.cumsum(self.rates.tokens).tolist()]
        mean_tokens = float(self.rates.tokens.sum() / max(1e-9, self.rates.queries.sum()))
        self._rest_tokens = mean_tokens * rest_of_work(self.rates.prompt_share)
        self._counted = [0.0, *np.cumsum(self.rates.queries).tolist()]

    def second(self, now: int, capacity_factor: float) -> Second:
        """Serve what waits and what arrives, as far as the ready replicas can."""
        ready, per_replica = self.fleet.ready, self.service.capacity_tokens * capacity_factor
        capacity = self._last_capacity = ready * per_replica
        backlog = self.queued_tokens + self._tokens[now]
        served = min(backlog, capacity)
        self.queued_tokens = backlog - served
        self.served.append(served)
        busy = served / capacity if capacity else 0.0
        return Second(self._waiting(now), self._worked_on(served, capacity_factor), self.queued_tokens, served, busy)

    def _worked_on(self, served: float, capacity_factor: float) -> float:
        """Return the queries in flight, n, when replicas do the work that is served at the speed of their batch.

        A query in flight has a mean rest r of its work, so dn/dt = (served - throughput(n)) / r; with the batch of the
        moment this is linear, and its solution over the second exact.
        """
        slots = self.fleet.ready * self.service.concurrency
        if not slots or not self._rest_tokens:
            self._in_flight = 0.0
            return 0.0
        batch = max(1.0, min(self._in_flight, slots) / self.fleet.ready)
        token_seconds = self.service.token_seconds(batch) / capacity_factor
        kept = math.exp(-1.0 / (self._rest_tokens * token_seconds))
        self._in_flight = min(slots, self._in_flight * kept + served * token_seconds * (1.0 - kept))
        return self._in_flight

    def lose(self, count: int, now: int) -> None:
        """Lose replicas; what they worked on is done anew in no time (a fluid is never half done)."""
        self.fleet.lose(count, now)

    def within(self, slo_wait_seconds: float) -> tuple[Floats, Floats]:
        """Return, per second of arrival, the queries that met the objective, and the mean wait in seconds."""
        waits = self._waits()
        return np.where(waits <= slo_wait_seconds, self.rates.queries, 0.0), waits

    def _waits(self) -> Floats:
        """Return the wait of the query in the middle of each second: when the tokens before it are done."""
        arrived = np.concatenate([[0.0], np.cumsum(self.rates.tokens)])
        done = np.concatenate([[0.0], np.cumsum(self.served)])
        at = np.arange(self.rates.seconds) + 0.5
        before = (arrived[:-1] + arrived[1:]) / 2
        tail = max(0.0, arrived[-1] - done[-1]) / max(self._last_capacity, 1e-9)
        times = np.append(np.arange(len(done), dtype=np.float64), len(done) - 1 + max(tail, 1e-9))
        # rounding must not leave the last tokens undone for ever
        levels = np.maximum.accumulate(np.append(done, max(arrived[-1], done[-1])))
        left = np.searchsorted(levels, before - 1e-9 * max(1.0, arrived[-1]), side="left").clip(1, len(levels) - 1)
        step = levels[left] - levels[left - 1]
        share = np.divide(before - levels[left - 1], step, out=np.zeros_like(before), where=step > 0).clip(0, 1)
        reached = times[left - 1] + share * (times[left] - times[left - 1])
        return np.asarray(np.maximum(0.0, reached - at), dtype=np.float64)

    def _waiting(self, now: int) -> float:
        """Return the queries in the queue: of the oldest second the share that is not done, and all after it."""
        done = self._arrived[now + 1] - self.queued_tokens
        while self._oldest <= now and self._arrived[self._oldest + 1] <= done:
            self._oldest += 1
        if self._oldest > now:
            return 0.0
        share = max(0.0, done - self._arrived[self._oldest]) / self._tokens[self._oldest]
        return self._counted[now + 1] - self._counted[self._oldest] - share * self._queries[self._oldest]


def simulate_fluid(rates: Rates, make_policy: Callable[[], Policy], run: Run) -> Result:
    """Replay rates against a policy; deterministic. `make_policy` is called again when a restart loses the state."""
    fleet = Fleet(run.service.startup_seconds, run.service.drain_seconds)
    return replay(Fluid(rates, run.service, fleet), rates, make_policy, run)
