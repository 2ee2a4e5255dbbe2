"""One run: a trace, a pool, a policy and its faults, second by second.

The order of a second: faults, then (at a tick) the policy, then the pool works through what arrives. The world is
either the fluid or the request model; both are driven here alike, so that they differ in nothing but their physics.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from autoglm_operator.simulate.faults import Faults
from autoglm_operator.simulate.fleet import Fleet
from autoglm_operator.simulate.meter import Meter, Second, without_part
from autoglm_operator.simulate.policy import Policy, View
from autoglm_operator.simulate.service import Service
from autoglm_operator.simulate.static import TARGET_USE
from autoglm_operator.simulate.traces import Floats, Rates


@dataclass(frozen=True, slots=True)
class Run:
    """The settings of a run, besides the trace and the policy."""

    service: Service = field(default_factory=Service)
    minimum: int = 1
    maximum: int = 1000
    initial: int | None = None
    """Size at the start, all ready; None: what the first minute needs."""
    scrape_seconds: int = 15
    slo_wait_seconds: float = 2.0
    """A query meets its objective when it waits at most this long for a replica."""
    faults: Faults = field(default_factory=Faults)

    def first_size(self, rates: Rates) -> int:
        """Return the size at the start, within the bounds."""
        need = float(rates.tokens[:60].mean()) / (self.service.capacity_tokens * TARGET_USE)
        wanted = self.initial if self.initial is not None else max(1, math.ceil(need))
        return min(max(wanted, self.minimum), self.maximum)


class World(Protocol):
    """The physics of a pool."""

    fleet: Fleet

    def second(self, now: int, capacity_factor: float) -> Second:
        """Work through the second [now, now + 1) and tell how it ends."""
        ...

    def lose(self, count: int, now: int) -> None:
        """Lose ready replicas with what they work on."""
        ...

    def within(self, slo_wait_seconds: float) -> tuple[Floats, Floats]:
        """Return, per second of arrival, the queries that met the objective, and the mean wait in seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Result:
    """What happened: one element per second of the trace."""

    policy: str
    arrived: Floats
    """Queries."""
    offered: Floats
    """Tokens."""
    within: Floats
    """Queries, by the second of their arrival, that met the objective."""
    waits: Floats
    """Mean wait of the queries that arrived, in seconds."""
    asked: Floats
    """Replicas asked for."""
    ready: Floats
    held: Floats
    """Replicas that occupy GPUs: starting, ready, draining."""
    queued_tokens: Floats
    capacity_tokens: float
    """Tokens/s per replica, as the profile says."""
    slo_wait_seconds: float


class Group(Protocol):
    """A policy that sizes several pools together."""

    @property
    def name(self) -> str:
        """Its name in reports."""
        ...

    @property
    def tick_seconds(self) -> float:
        """How often it is asked."""
        ...

    def decide(self, views: Mapping[str, View]) -> Mapping[str, int]:
        """Return the size to ask for, for each pool."""
        ...


@dataclass(slots=True)
class Alone:
    """A policy of one pool as a group."""

    policy: Policy

    @property
    def name(self) -> str:
        """The policy's."""
        return self.policy.name

    @property
    def tick_seconds(self) -> float:
        """The policy's."""
        return self.policy.tick_seconds

    def decide(self, views: Mapping[str, View]) -> Mapping[str, int]:
        """Ask the policy."""
        return {name: self.policy.decide(view) for name, view in views.items()}


@dataclass(slots=True)
class Lane:
    """One pool on its way through the trace."""

    world: World
    rates: Rates
    run: Run
    asked: int = field(init=False)
    meter: Meter = field(init=False)
    sizes: list[tuple[int, int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin with the first size, all ready."""
        self.meter = Meter(self.rates, self.run.scrape_seconds)
        self.asked = self.world.fleet.ready = self.run.first_size(self.rates)

    def begin(self, now: int) -> None:
        """Let a second begin: what goes wrong goes wrong, and replicas become ready."""
        _strike(self.world, now, self.run.faults)
        self.world.fleet.advance(now)

    def ask(self, now: int, wanted: int) -> None:
        """Ask for a size, within the bounds."""
        wanted = min(max(wanted, self.run.minimum), self.run.maximum)
        if wanted != self.asked:
            self.world.fleet.resize(wanted, now)
            self.asked = wanted

    def play(self, now: int) -> None:
        """Work through the second."""
        self.meter.seconds.append(self.world.second(now, self.run.faults.profile(now)))
        self.sizes.append((self.asked, self.world.fleet.ready, self.world.fleet.held))

    def view(self, now: int) -> View:
        """Return what a policy sees."""
        return _view(now, self.meter, self.world.fleet, self.asked, self.run)

    def result(self, policy: str) -> Result:
        """Return what happened."""
        sizes = np.array(self.sizes, dtype=np.float64)
        return _result(policy, self.world, self.rates, self.run, self.meter, sizes)


@dataclass(slots=True)
class _Operator:
    """The policy in its process: away at times, and forgetful after a restart."""

    make: Callable[[], Group]
    faults: Faults
    group: Group = field(init=False)
    due: float = 0.0

    def __post_init__(self) -> None:
        self.group = self.make()

    def tick(self, now: int, lanes: Mapping[str, Lane]) -> None:
        if self.faults.state_is_lost(now - 1, now):
            self.group = self.make()
        if now < self.due or self.faults.operator_is_away(now):
            return
        self.due = now + max(1.0, self.group.tick_seconds)
        views = {name: lane.view(now) for name, lane in lanes.items()}
        for name, wanted in self.group.decide(views).items():
            lanes[name].ask(now, wanted)


def replay(world: World, rates: Rates, make_policy: Callable[[], Policy], run: Run) -> Result:
    """Play the trace of a world; deterministic."""
    (result,) = replay_together({"": Lane(world, rates, run)}, lambda: Alone(make_policy())).values()
    return result


def replay_together(lanes: Mapping[str, Lane], make_group: Callable[[], Group]) -> dict[str, Result]:
    """Play the traces of several pools that are sized together; the first one's faults are the operator's.

    Raises:
        ValueError: the traces have not the same length.
    """
    first = next(iter(lanes.values()))
    if any(lane.rates.seconds != first.rates.seconds for lane in lanes.values()):
        raise ValueError("the traces of pools that are sized together must be equally long")
    operator = _Operator(make_group, first.run.faults)
    for now in range(first.rates.seconds):
        for lane in lanes.values():
            lane.begin(now)
        operator.tick(now, lanes)
        for lane in lanes.values():
            lane.play(now)
    return {name: lane.result(operator.group.name) for name, lane in lanes.items()}


def _strike(world: World, now: int, faults: Faults) -> None:
    if not faults.all:
        return
    quota = faults.quota(now)
    if quota != world.fleet.quota:
        world.fleet.limit(quota, now)
    share = faults.lost_share(now - 1, now)
    if share:
        world.lose(round(world.fleet.ready * share), now)


def _view(now: int, meter: Meter, fleet: Fleet, asked: int, run: Run) -> View:
    figures = None if run.faults.metrics_are_missing(now) else meter.at(now)
    partial = run.faults.partial(now)
    if figures is not None and partial:
        figures = without_part(figures, partial)
    since = fleet.pending_since
    return View(
        now=float(now),
        current=asked,
        ready=fleet.ready,
        sampled_at=figures.sampled_at if figures else None,
        queued=figures.queued if figures else 0.0,
        in_flight=figures.in_flight if figures else 0.0,
        queued_tokens=figures.queued_tokens if figures else 0.0,
        offered_tokens=figures.offered_tokens if figures else 0.0,
        offered_tokens_now=figures.offered_tokens_now if figures else 0.0,
        served_tokens=figures.served_tokens if figures else 0.0,
        utilization=figures.utilization if figures else 0.0,
        offered_queries=figures.offered_queries if figures else 0.0,
        became_ready=(run.service.startup_seconds,) * fleet.seen(),
        unschedulable=fleet.pending,
        partial=partial,
        unschedulable_seconds=now - since if since is not None else 0.0,
        first_token_p95=figures.first_token_p95 if figures else None,
        per_token_p95=figures.per_token_p95 if figures else None,
    )


def _result(policy: str, world: World, rates: Rates, run: Run, meter: Meter, sizes: Floats) -> Result:
    within, waits = world.within(run.slo_wait_seconds)
    return Result(
        policy=policy,
        arrived=rates.queries,
        offered=rates.tokens,
        within=within,
        waits=waits,
        asked=sizes[:, 0],
        ready=sizes[:, 1],
        held=sizes[:, 2],
        queued_tokens=np.array([second.queued_tokens for second in meter.seconds]),
        capacity_tokens=run.service.capacity_tokens,
        slo_wait_seconds=run.slo_wait_seconds,
    )
