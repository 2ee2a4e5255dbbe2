"""A study: every pool with every policy, swept value and seed, and the comparison of the policies."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from autoglm_cli.simulation.arrivals import Arrivals
from autoglm_cli.simulation.pools import SimulatedPool
from autoglm_cli.simulation.problem import Problem
from autoglm_cli.simulation.sweep import Sweep, changed
from autoglm_operator.simulate.experiment import Experiment, Fidelity, Outcome, outcome_of, outcomes_together
from autoglm_operator.simulate.faults import Faults
from autoglm_operator.simulate.measures import measured
from autoglm_operator.simulate.policies import UnknownPolicyError
from autoglm_operator.simulate.replay import Run
from autoglm_operator.simulate.traces import TraceError
from autoglm_operator.simulate.uncertainty import Difference, Interval, attainment_interval, difference, pareto_front

Figures = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Question:
    """All that is asked, apart from the trace and the pools."""

    policies: tuple[str, ...] = ("ours",)
    fidelity: Fidelity = Fidelity.FLUID
    scrape_seconds: int = 15
    tick_seconds: float = 5.0
    initial: int | None = None
    slo_wait_seconds: float = 2.0
    multiply: float = 1.0
    superpose: int = 1
    faults: Faults = field(default_factory=Faults)
    seed: int = 1
    seeds: int = 1
    sweep: Sweep | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One pool, one policy, one value of the sweep."""

    pool: str
    policy: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a case: one outcome per seed, and their mean."""

    case: Case
    outcomes: tuple[Outcome, ...]
    figures: Figures
    slo: Interval
    """SLO attainment with its 95 % interval."""


@dataclass(frozen=True, slots=True)
class Study:
    """All answers, and how the first policy differs from each other one."""

    answers: tuple[Answer, ...]
    differences: tuple[tuple[Case, str, Difference], ...]
    """The first policy's case, the other policy's name, first less other."""
    best: frozenset[Case]
    """Cases on the Pareto front of a sweep: no other has both more SLO attainment and less cost."""


def conducted(question: Question, arrivals: Arrivals, pools: list[SimulatedPool]) -> Study:
    """Run everything that is asked; raises Problem."""
    try:
        answers = tuple(_answers(question, arrivals, pools))
    except (TraceError, UnknownPolicyError) as error:
        raise Problem(str(error)) from error
    rng = np.random.default_rng(question.seed)
    return Study(answers, tuple(_differences(answers, question.policies, rng)), _best(answers, question))


def _answers(question: Question, arrivals: Arrivals, pools: list[SimulatedPool]) -> Iterator[Answer]:
    values = question.sweep.values if question.sweep else (None,)
    seeds = range(question.seed, question.seed + question.seeds)
    seeded = {pool.name: [_experiment(question, arrivals, pool, seed) for seed in seeds] for pool in pools}
    outcomes: dict[Case, tuple[Outcome, ...]] = {}
    for value in values:
        for policy in question.policies:
            of_pools = {name: [_asked(question, one, policy, value) for one in of] for name, of in seeded.items()}
            for name, found in _outcomes(pools, of_pools).items():
                outcomes[Case(name, policy, value)] = found
    for pool in pools:
        for value in values:
            for policy in question.policies:
                case = Case(pool.name, policy, value)
                yield _answer(question, case, outcomes[case])


def _asked(question: Question, experiment: Experiment, policy: str, value: str | None) -> Experiment:
    experiment = replace(experiment, policy=policy)
    return experiment if question.sweep is None or value is None else changed(experiment, question.sweep.name, value)


def _outcomes(pools: list[SimulatedPool], of_pools: dict[str, list[Experiment]]) -> dict[str, tuple[Outcome, ...]]:
    """Run every pool with every seed: together where the operator would decide them together, else one by one."""
    places = {pool.name: pool.place for pool in pools if pool.place is not None}
    first = of_pools[pools[0].name][0]
    if first.policy != "ours" or len(places) < len(pools):
        return {name: tuple(outcome_of(one) for one in of) for name, of in of_pools.items()}
    runs = [dict(zip(of_pools, of_seed, strict=True)) for of_seed in zip(*of_pools.values(), strict=True)]
    together = [outcomes_together(run, places, pools[0].gpu_budget) for run in runs]
    return {name: tuple(one[name] for one in together) for name in of_pools}


def _answer(question: Question, case: Case, outcomes: tuple[Outcome, ...]) -> Answer:
    rng = np.random.default_rng(question.seed)
    slo = attainment_interval([outcome.result for outcome in outcomes], rng)
    return Answer(case, outcomes, _mean([figures_of(outcome) for outcome in outcomes]), slo)


def _experiment(question: Question, arrivals: Arrivals, pool: SimulatedPool, seed: int) -> Experiment:
    trace, share = arrivals.part_of(pool, seed)
    run = Run(
        service=pool.service,
        minimum=pool.scaling.min_replicas,
        maximum=pool.scaling.max_replicas,
        initial=question.initial,
        scrape_seconds=question.scrape_seconds,
        slo_wait_seconds=question.slo_wait_seconds,
        faults=question.faults,
    )
    return Experiment(
        trace=trace,
        scaling=pool.scaling,
        run=run,
        fidelity=question.fidelity,
        tick_seconds=question.tick_seconds,
        multiply=question.multiply,
        superpose=question.superpose,
        share=share,
        seed=seed,
        gpus_per_replica=pool.gpus_per_replica,
    )


def figures_of(outcome: Outcome) -> Figures:
    """Return every figure of an outcome under its JSON key."""
    figures = measured(outcome.result, gpus_per_replica=outcome.experiment.gpus_per_replica)
    watch = outcome.watch
    figures["firstTokenP95Seconds"] = _p95(watch.first_tokens) if watch else None
    figures["perTokenP95Seconds"] = _p95(watch.per_token) if watch else None
    return figures


def _p95(times: list[float]) -> float | None:
    known = np.array(times)
    known = known[~np.isnan(known)]
    return float(np.percentile(known, 95)) if len(known) else None


def _mean(runs: list[Figures]) -> Figures:
    """Return the mean of each figure over the seeds that have it."""
    together: Figures = {}
    for key in runs[0]:
        known = [figure for run in runs if (figure := run[key]) is not None]
        together[key] = sum(known) / len(known) if known else None
    return together


def _differences(
    answers: tuple[Answer, ...], policies: tuple[str, ...], rng: np.random.Generator
) -> Iterator[tuple[Case, str, Difference]]:
    by_case = {answer.case: [outcome.result for outcome in answer.outcomes] for answer in answers}
    for case, results in by_case.items():
        if case.policy == policies[0]:
            for other in policies[1:]:
                yield case, other, difference(results, by_case[replace(case, policy=other)], rng)


def _best(answers: tuple[Answer, ...], question: Question) -> frozenset[Case]:
    if question.sweep is None:
        return frozenset()
    best = set()
    for pool in {answer.case.pool for answer in answers}:
        mine = [answer for answer in answers if answer.case.pool == pool]
        points = [(answer.slo.value, answer.figures["gpuHours"] or 0.0) for answer in mine]
        best |= {answer.case for answer, is_best in zip(mine, pareto_front(points), strict=True) if is_best}
    return frozenset(best)
