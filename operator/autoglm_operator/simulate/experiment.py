"""From the question of a user to a run: which trace, which pool, which policy, which fidelity."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import numpy as np

from autoglm_api.spec import Scaling
from autoglm_operator.simulate.fluid import simulate_fluid
from autoglm_operator.simulate.ours import ours
from autoglm_operator.simulate.policies import Sizing, factory_of
from autoglm_operator.simulate.policy import Policy
from autoglm_operator.simulate.replay import Result, Run
from autoglm_operator.simulate.request import simulate_requests
from autoglm_operator.simulate.stopwatch import Stopwatch
from autoglm_operator.simulate.together import Member, Place, simulate_together
from autoglm_operator.simulate.traces import Queries, Rates, Trace, TraceError, queries_for

MOST_QUERIES: Final = 5_000_000
"""Beyond this the request model takes too long and too much memory."""


PRIME: Final = 7919
"""Between the seeds of two pools."""


class Fidelity(StrEnum):
    """How closely the pool is modelled."""

    FLUID = "fluid"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Experiment:
    """One run, told completely: equal experiments have equal results."""

    trace: Trace
    scaling: Scaling
    run: Run
    policy: str = "ours"
    fidelity: Fidelity = Fidelity.FLUID
    tick_seconds: float = 5.0
    multiply: float = 1.0
    superpose: int = 1
    share: float = 1.0
    """Share of the trace that this pool gets."""
    seed: int = 1
    gpus_per_replica: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an experiment."""

    experiment: Experiment
    result: Result
    watch: Stopwatch | None = field(default=None, repr=False)
    """Times of every query; None in the fluid model."""


def outcome_of(experiment: Experiment) -> Outcome:
    """Run an experiment; raises UnknownPolicyError or TraceError."""
    if experiment.fidelity is Fidelity.REQUEST:
        queries, seconds = scaled_queries(experiment)
        rates = queries.rates(seconds)
        result, watch = simulate_requests(queries, rates, _policies(experiment, rates), experiment.run)
        return Outcome(experiment, result, watch)
    rates = scaled_rates(experiment)
    return Outcome(experiment, simulate_fluid(rates, _policies(experiment, rates), experiment.run))


def outcomes_together(
    experiments: Mapping[str, Experiment], places: Mapping[str, Place], gpu_budget: int | None
) -> dict[str, Outcome]:
    """Run our engine for all pools of a deployment at once; raises TraceError."""
    loads = {name: _load(one, number) for number, (name, one) in enumerate(experiments.items())}
    if len({rates.seconds for rates, _ in loads.values()}) > 1:
        raise TraceError("the traces of the pools are not equally long")

    def members() -> dict[str, Member]:
        return {name: _member(one, *loads[name], places[name]) for name, one in experiments.items()}

    played = simulate_together(members, gpu_budget)
    return {name: Outcome(one, *played[name]) for name, one in experiments.items()}


def _load(experiment: Experiment, number: int) -> tuple[Rates, Queries | None]:
    """Return what a pool gets; pools that share a trace draw their parts apart from each other."""
    if experiment.fidelity is Fidelity.FLUID:
        return scaled_rates(experiment), None
    queries, seconds = scaled_queries(replace(experiment, seed=experiment.seed + PRIME * number))
    return queries.rates(seconds), queries


def _member(experiment: Experiment, rates: Rates, queries: Queries | None, place: Place) -> Member:
    return Member(ours(sizing_of(experiment, rates)), rates, experiment.run, place, queries)


def scaled_rates(experiment: Experiment) -> Rates:
    """Return the trace's rates with the experiment's copies, factor and share."""
    rates = experiment.trace.rates.superposed(experiment.superpose)
    return rates.multiplied(experiment.multiply * experiment.share)


def scaled_queries(experiment: Experiment) -> tuple[Queries, int]:
    """Return the trace's queries likewise, and its length; raises TraceError when they are too many or none."""
    rng = np.random.default_rng(experiment.seed)
    trace = experiment.trace
    total = trace.rates.queries.sum() * experiment.superpose * experiment.multiply * experiment.share
    if total > MOST_QUERIES:
        raise TraceError(f"{total:.0f} queries are too many for the request model; use --fidelity fluid")
    queries = trace.queries if trace.queries is not None else queries_for(trace.rates, rng)
    queries = queries.superposed(experiment.superpose, trace.rates.seconds)
    queries = queries.multiplied(experiment.multiply * experiment.share, rng)
    if not len(queries.at):
        raise TraceError(f"{trace.name}: no query is left for the pool")
    return queries, trace.rates.seconds


def sizing_of(experiment: Experiment, rates: Rates) -> Sizing:
    """Return what the policy is told before the trace begins."""
    service = experiment.run.service
    return Sizing(
        scaling=experiment.scaling,
        capacity_tokens=service.capacity_tokens,
        concurrency=service.concurrency,
        startup_seconds=service.startup_seconds,
        tick_seconds=experiment.tick_seconds,
        peak_tokens=rates.peak_tokens(),
    )


def _policies(experiment: Experiment, rates: Rates) -> Callable[[], Policy]:
    factory, sizing = factory_of(experiment.policy), sizing_of(experiment, rates)
    return lambda: factory(sizing)
