"""The request model: every query as discrete events.

A query arrives, waits in the gateway's FIFO queue for a slot of the least loaded replica, has its prompt read, and is
answered token by token at a speed that falls with the batch. Replicas start, drain (their queries end first) and die
(their queries return to the head of the queue).
"""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from autoglm_operator.simulate.fleet import Fleet
from autoglm_operator.simulate.meter import Second
from autoglm_operator.simulate.policy import Policy
from autoglm_operator.simulate.replay import Result, Run, replay
from autoglm_operator.simulate.replica import Phase, Replica
from autoglm_operator.simulate.service import Service
from autoglm_operator.simulate.stopwatch import Stopwatch
from autoglm_operator.simulate.traces import Floats, Queries, Rates

AFTER_SECONDS: Final = 60
"""How long the pool works on after the trace, so that its last queries have a wait."""


@dataclass(slots=True)
class Requests:
    """A pool as replicas and queries."""

    queries: Queries
    seconds: int
    service: Service
    fleet: Fleet
    watch: Stopwatch = field(init=False)
    _arrivals: list[float] = field(init=False)
    _prompts: list[float] = field(init=False)
    _outputs: list[float] = field(init=False)
    _replicas: dict[int, Replica] = field(default_factory=dict)
    _draining: dict[int, Replica] = field(default_factory=dict)
    _queue: deque[int] = field(default_factory=deque)
    _queued_tokens: float = 0.0
    _ends: list[tuple[float, int, int]] = field(default_factory=list)
    """Planned ends of phases: time, replica, version of its batch."""
    _free: list[tuple[int, int]] = field(default_factory=list)
    """Load and number of replicas with a free slot; rows may be out of date."""
    _next: int = 0
    _made: int = 0
    _served: float = 0.0
    _factor: float = 1.0

    def __post_init__(self) -> None:
        """Leave numpy for the loop."""
        self._arrivals = self.queries.at.tolist()
        self._prompts = self.queries.prompt_tokens.tolist()
        self._outputs = np.maximum(self.queries.output_tokens, 1.0).tolist()
        self.watch = Stopwatch(self._arrivals, self._outputs)

    def second(self, now: int, capacity_factor: float) -> Second:
        """Play the events of [now, now + 1)."""
        self._change_speed(capacity_factor, now)
        self._follow_fleet(now)
        end = now + 1.0
        while (at := self._next_event()) < end:
            if self._ends and self._ends[0][0] <= at:
                self._end_of_phase(*heapq.heappop(self._ends))
            else:
                self._arrive(at)
        return self._sample(end)

    def lose(self, count: int, now: int) -> None:
        """Lose the newest ready replicas; their queries wait again, before all others."""
        self._follow_fleet(now)
        for number in sorted(self._replicas)[len(self._replicas) - count :]:
            lost = self._replicas.pop(number)
            self._served += lost.take_served()
            self._return_to_queue(sorted(phase.query for phase in lost.phases), now)
        self.fleet.lose(count, now)

    def within(self, slo_wait_seconds: float) -> tuple[Floats, Floats]:
        """Return, per second of arrival, the queries that met the objective, and the mean wait in seconds."""
        for after in range(AFTER_SECONDS):
            if not self._queue:
                break
            self.second(self.seconds + after, self._factor)
        return self.watch.by_second(self.seconds, slo_wait_seconds, float(self.seconds + AFTER_SECONDS))

    def _next_event(self) -> float:
        while self._ends and not self._is_valid(self._ends[0]):
            heapq.heappop(self._ends)
        arrival = self._arrivals[self._next] if self._next < len(self._arrivals) else float("inf")
        return min(arrival, self._ends[0][0] if self._ends else float("inf"))

    def _is_valid(self, end: tuple[float, int, int]) -> bool:
        replica = self._replica(end[1])
        return replica is not None and replica.version == end[2]

    def _replica(self, number: int) -> Replica | None:
        return self._replicas.get(number) or self._draining.get(number)

    def _arrive(self, now: float) -> None:
        self._queue.append(self._next)
        self._queued_tokens += self._prompts[self._next] + self._outputs[self._next]
        self._next += 1
        self._dispatch(now)

    def _end_of_phase(self, now: float, number: int, _: int) -> None:
        replica = self._replica(number)
        if replica is None:
            return
        replica.advance(now)
        for phase in replica.ended():
            self._follow_up(replica, phase, now)
        self._plan(replica)
        if number in self._draining and not replica.phases:
            self._remove(number)
        self._dispatch(now)

    def _follow_up(self, replica: Replica, phase: Phase, now: float) -> None:
        if phase.is_prompt:
            self.watch.first_token(phase.query, now)
            replica.answer(phase.query, self._outputs[phase.query])
        else:
            self.watch.done(phase.query, now)

    def _dispatch(self, now: float) -> None:
        while self._queue and (replica := self._least_loaded()) is not None:
            query = self._queue.popleft()
            self._queued_tokens -= self._prompts[query] + self._outputs[query]
            self.watch.started(query, now)
            replica.advance(now)
            replica.admit(query, self._prompts[query], self._outputs[query])
            self._plan(replica)

    def _least_loaded(self) -> Replica | None:
        while self._free:
            load, number = heapq.heappop(self._free)
            replica = self._replicas.get(number)
            if replica is not None and replica.load == load:
                return replica
        return None

    def _plan(self, replica: Replica) -> None:
        """Enter a replica's next end and its free slot into the two heaps, after a change of its batch."""
        if replica.phases:
            heapq.heappush(self._ends, (replica.next_end(), replica.number, replica.version))
        if replica.load < self.service.concurrency and replica.number in self._replicas:
            heapq.heappush(self._free, (replica.load, replica.number))

    def _follow_fleet(self, now: int) -> None:
        """Make or drain replicas until there are as many as the fleet has ready."""
        while len(self._replicas) < self.fleet.ready:
            self._made += 1
            self._replicas[self._made] = Replica(self._made, self.service, float(now), self._factor)
            self._plan(self._replicas[self._made])
        while len(self._replicas) > self.fleet.ready:
            self._drain(min(self._replicas.values(), key=lambda one: (one.load, one.number)))
        self.fleet.drained_to(len(self._draining))
        self._dispatch(float(now))

    def _drain(self, replica: Replica) -> None:
        del self._replicas[replica.number]
        self._draining[replica.number] = replica
        if not replica.phases:
            self._remove(replica.number)

    def _remove(self, number: int) -> None:
        self._served += self._draining.pop(number).take_served()
        self.fleet.drained_to(len(self._draining))

    def _return_to_queue(self, queries: list[int], now: int) -> None:
        for query in reversed(queries):
            self._queue.appendleft(query)
            self._queued_tokens += self._prompts[query] + self._outputs[query]
            self.watch.waits_again(query, float(now))

    def _change_speed(self, factor: float, now: int) -> None:
        if factor == self._factor:
            return
        self._factor = factor
        for replica in (*self._replicas.values(), *self._draining.values()):
            replica.advance(float(now))
            replica.capacity_factor = factor
            replica.version += 1
            self._plan(replica)

    def _sample(self, end: float) -> Second:
        served, in_flight = self._served, 0
        for replica in (*self._replicas.values(), *self._draining.values()):
            replica.advance(end)
            served += replica.take_served()
            in_flight += replica.load
        self._served = 0.0
        capacity = len(self._replicas) * self.service.capacity_tokens * self._factor
        busy = min(1.0, served / capacity) if capacity else 0.0
        return Second(
            len(self._queue), in_flight, max(0.0, self._queued_tokens), served, busy, *self.watch.percentiles(end)
        )


def simulate_requests(
    queries: Queries, rates: Rates, make_policy: Callable[[], Policy], run: Run
) -> tuple[Result, Stopwatch]:
    """Replay queries against a policy; deterministic. The stopwatch has every query's times.

    `rates` are the same queries per second: what the gateway's counters show.
    """
    fleet = Fleet(run.service.startup_seconds, float("inf"))
    world = Requests(queries, rates.seconds, run.service, fleet)
    return replay(world, rates, make_policy, run), world.watch
