"""Our engine for all pools of a deployment at once, as the operator runs it: one mix of classes, one GPU budget."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from autoglm_api.spec import QueryClass
from autoglm_operator.scaling.deployment import DeploymentState, decide_deployment, inputs_for
from autoglm_operator.scaling.model import PoolDecision, PoolTarget
from autoglm_operator.simulate.fleet import Fleet
from autoglm_operator.simulate.fluid import Fluid
from autoglm_operator.simulate.ours import START, Ours, load_of
from autoglm_operator.simulate.policy import View
from autoglm_operator.simulate.replay import Lane, Result, Run, replay_together
from autoglm_operator.simulate.request import Requests
from autoglm_operator.simulate.stopwatch import Stopwatch
from autoglm_operator.simulate.traces import Queries, Rates


class Place(NamedTuple):
    """What a pool is among the others."""

    serves: QueryClass
    weight: int = 1
    gpus_per_replica: int = 1
    """GPUs of the deployment's budget."""


@dataclass(frozen=True, slots=True)
class Member:
    """One pool of a simulated deployment."""

    engine: Ours
    """What the pool's own engine would be told: scaling, slots, tick."""
    rates: Rates
    run: Run
    place: Place
    queries: Queries | None = None
    """What `rates` counts, for the request model; None: the fluid model."""


@dataclass(slots=True)
class OursTogether:
    """The engine with its memory of a whole deployment."""

    members: Mapping[str, Member]
    gpu_budget: int | None = None
    name: str = "ours"
    state: DeploymentState = field(default_factory=DeploymentState)
    decisions: Mapping[str, PoolDecision] = field(default_factory=dict)
    """The last ones."""

    @property
    def tick_seconds(self) -> float:
        """The shortest of the pools'."""
        return min(member.engine.tick_seconds for member in self.members.values())

    def decide(self, views: Mapping[str, View]) -> Mapping[str, int]:
        """Return the sizes that the engine decides."""
        targets = {name: self._target(self.members[name], view) for name, view in views.items()}
        loads = {name: load_of(view) for name, view in views.items()}
        now = START + timedelta(seconds=next(iter(views.values())).now)
        pools = inputs_for(targets, loads)
        self.decisions, self.state = decide_deployment(pools, self.gpu_budget, self.state, now)
        return {name: decision.replicas for name, decision in self.decisions.items()}

    def _target(self, member: Member, view: View) -> PoolTarget:
        seen = member.engine.snapshot(view)
        return PoolTarget(
            scaling=member.engine.scaling_at(view),
            current=seen.current,
            ready=seen.ready,
            rolling_out=False,
            serves=member.place.serves,
            weight=member.place.weight,
            concurrency=seen.concurrency,
            gpus_per_replica=member.place.gpus_per_replica,
            unschedulable=seen.unschedulable,
            unschedulable_seconds=seen.unschedulable_seconds,
            no_room=seen.no_room,
            became_ready=seen.became_ready,
            gpu_budget=self.gpu_budget,
        )


class Played(NamedTuple):
    """What came of one pool."""

    result: Result
    watch: Stopwatch | None
    """Times of every query; None in the fluid model."""


def simulate_together(members: Callable[[], Mapping[str, Member]], gpu_budget: int | None = None) -> dict[str, Played]:
    """Replay the pools of a deployment; `members` gives fresh engines, as after a restart."""
    worlds = {name: _world(member) for name, member in members().items()}
    lanes = {name: Lane(worlds[name], member.rates, member.run) for name, member in members().items()}
    results = replay_together(lanes, lambda: OursTogether(members(), gpu_budget))
    return {name: Played(result, _watch(worlds[name])) for name, result in results.items()}


def _world(member: Member) -> Fluid | Requests:
    service, startup = member.run.service, member.run.service.startup_seconds
    if member.queries is None:
        return Fluid(member.rates, service, Fleet(startup, drain_seconds=0.0))
    return Requests(member.queries, member.rates.seconds, service, Fleet(startup, drain_seconds=math.inf))


def _watch(world: Fluid | Requests) -> Stopwatch | None:
    return world.watch if isinstance(world, Requests) else None
