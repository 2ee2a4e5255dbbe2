"""The fluid model: tokens flow through one FIFO queue in steps of a second.

It knows no single query, so its cost does not depend on the load: a day at 100,000 queries/s on 1,000 replicas takes
seconds. A query waits until all tokens that arrived before it have found a slot: one that is free, or one that becomes
so as fast as the replicas work. That is exact for a fluid, and close to the request model for tens of replicas.

Policies that follow the number of queries in flight react to its chance, not only to its mean: the largest of many
scrapes decides. So that number is followed apart from the work (a query of ten times the tokens stays ten times as
long, but it is one query), and what a scrape sees of it has the chance of single queries (Poisson), from a fixed seed.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from autoglm_operator.simulate.fleet import Fleet
from autoglm_operator.simulate.meter import Second
from autoglm_operator.simulate.policy import Policy
from autoglm_operator.simulate.replay import Result, Run, replay
from autoglm_operator.simulate.replica import rest_of_work
from autoglm_operator.simulate.service import Service
from autoglm_operator.simulate.traces import Floats, Rates, trailing_mean

_SEED: Final = 1
_SIZES_SECONDS: Final = 60


@dataclass(slots=True)
class Fluid:
    """A pool as a queue of tokens and a rate."""

    rates: Rates
    service: Service
    fleet: Fleet
    queued_tokens: float = 0.0
    admitted: list[float] = field(default_factory=list)
    """Tokens of the queries that found a slot in each second."""
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
    """Work in flight, in queries of mean size."""
    _number: float = 0.0
    """Queries in flight."""
    _each: list[float] = field(init=False)
    """Mean tokens of a query, around each second."""
    _rest_tokens: float = field(init=False)
    """Mean work that is left of a query in flight."""
    _chance: list[float] = field(init=False)
    """Standard normal, one for each second."""

    def __post_init__(self) -> None:
        """Leave numpy for the loop: single elements of lists are faster."""
        self._tokens, self._queries = self.rates.tokens.tolist(), self.rates.queries.tolist()
        self._arrived = [0.0, *np.cumsum(self.rates.tokens).tolist()]
        mean_tokens = float(self.rates.tokens.sum() / max(1e-9, self.rates.queries.sum()))
        self._rest_tokens = mean_tokens * rest_of_work(self.rates.prompt_share)
        tokens, queries = (trailing_mean(one, _SIZES_SECONDS) for one in (self.rates.tokens, self.rates.queries))
        self._each = (tokens / np.maximum(queries, 1e-9)).tolist()
        self._chance = np.random.default_rng(_SEED).standard_normal(self.rates.seconds).tolist()
        self._counted = [0.0, *np.cumsum(self.rates.queries).tolist()]

    def second(self, now: int, capacity_factor: float) -> Second:
        """Admit what waits and what arrives to the replicas' slots, and work on what is in them."""
        capacity = self._last_capacity = self.fleet.ready * self.service.capacity_tokens * capacity_factor
        slots = self.fleet.ready * self.service.concurrency
        token_seconds = self._token_seconds(slots, capacity_factor)
        backlog = self.queued_tokens + self._tokens[now]
        admitted = min(backlog, max(capacity, self._admissible(slots, token_seconds)))
        self.queued_tokens = backlog - admitted
        self.admitted.append(admitted)
        done = admitted - self._worked_on(admitted, slots, token_seconds)
        busy = min(1.0, done / capacity) if capacity else 0.0
        counted = self._counted_in_flight(now, slots, token_seconds)
        return Second(self._waiting(now), counted, self.queued_tokens, done, busy)

    def _counted_in_flight(self, now: int, slots: int, token_seconds: float) -> float:
        """Return the queries in flight as a count finds them at this moment; while queries wait, all slots are busy."""
        if self.queued_tokens or not slots:
            self._number = self._in_flight
            return self._number
        kept, stay = self._kept(token_seconds), self._each[now] * token_seconds
        self._number = min(slots, self._number * kept + self._queries[now] * stay * (1.0 - kept))
        return min(slots, max(0.0, self._number + self._chance[now] * math.sqrt(self._number)))

    def _kept(self, token_seconds: float) -> float:
        """Return the share of what is in flight that still is a second later."""
        rest = self._rest_tokens * token_seconds
        return math.exp(-1.0 / rest) if rest else 0.0

    def _token_seconds(self, slots: int, capacity_factor: float) -> float:
        """Return how long the next token of a query takes at the batch of the moment."""
        batch = max(1.0, min(self._in_flight, slots) / self.fleet.ready) if slots else 1.0
        self.fleet.drain_seconds = self.service.drain_seconds(batch, self._rest_tokens) / capacity_factor
        return self.service.token_seconds(_met(batch)) / capacity_factor

    def _admissible(self, slots: int, token_seconds: float) -> float:
        """Return the tokens that find a slot within the second: one that is free, or one that becomes so."""
        busy = min(self._in_flight, slots)
        return busy / token_seconds + (slots - busy) * self._rest_tokens

    def _worked_on(self, admitted: float, slots: int, token_seconds: float) -> float:
        """Work on what is in flight for a second; return the tokens by which the work in flight has grown.

        A query in flight has a mean rest r of its work, so dn/dt = (admitted - n / token_seconds) / r; with the batch
        of the moment this is linear, and its solution over the second exact.
        """
        before = self._in_flight
        if not slots or not self._rest_tokens:
            self._in_flight = 0.0
            return 0.0
        kept = self._kept(token_seconds)
        self._in_flight = min(slots, before * kept + admitted * token_seconds * (1.0 - kept))
        return (self._in_flight - before) * self._rest_tokens

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
        done = np.concatenate([[0.0], np.cumsum(self.admitted)])
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


def _met(mean: float) -> float:
    """Return the batch that a query finds itself in on average, where batches are as even as whole queries allow.

    >>> _met(0.3), _met(1.5), _met(2.0)
    (1.0, 1.6666666666666667, 2.0)
    """
    whole = math.floor(mean)
    part = mean - whole
    return (whole**2 + (2 * whole + 1) * part) / mean if mean > 1 else 1.0


def simulate_fluid(rates: Rates, make_policy: Callable[[], Policy], run: Run) -> Result:
    """Replay rates against a policy; deterministic. `make_policy` is called again when a restart loses the state."""
    fleet = Fleet(run.service.startup_seconds, drain_seconds=0.0)
    return replay(Fluid(rates, run.service, fleet), rates, make_policy, run)
