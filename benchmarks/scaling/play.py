"""One run of one policy, and what of it is kept: the figures, and sums per window for the bootstrap."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from autoglm_api.spec import Scaling
from autoglm_operator.simulate.faults import FaultKind, Faults, parse_fault
from autoglm_operator.simulate.fluid import simulate_fluid
from autoglm_operator.simulate.measures import measured, oracle_sizes
from autoglm_operator.simulate.policies import Sizing, factory_of
from autoglm_operator.simulate.replay import Result, Run
from autoglm_operator.simulate.service import Service
from autoglm_operator.simulate.traces import Floats, Rates

WINDOW_SECONDS: Final = 300
CONCURRENCY: Final = 8
BATCHING_GAIN: Final = 8.0
"""Decoding bound by memory: a full batch is as fast per query as a single one (the setting of the yardstick)."""
TICK_SECONDS: Final = 5.0
SCRAPE_SECONDS: Final = 15
OWN_SCRAPE_SECONDS: Final = {"kpa": 2, "ray-serve": 10}
"""Policies that collect their metrics themselves, faster than Prometheus."""
MIN_REPLICAS: Final = 1


@dataclass(frozen=True)
class Task:
    """One run: picklable, the rates are looked up by `trace` and `seed`."""

    trace: str
    seed: int
    startup_seconds: int
    policy: str
    fault: str = "none"
    faults: tuple[str, ...] = ()
    told: float = 1.0
    """What the policy is told of a replica's capacity and slots, as a factor: the sweep of its target."""


@dataclass(frozen=True)
class Windows:
    """Sums per window: queries that met the objective, queries, replica-seconds held, the oracle's."""

    within: Floats
    arrived: Floats
    held: Floats
    oracle: Floats


@dataclass(frozen=True)
class Played:
    """What a run came to."""

    task: Task
    figures: dict[str, float | None]
    windows: Windows
    blind_downs: int
    """Scale-downs while there were no metrics at all."""


def played(task: Task, rates: Rates, capacity_tokens: float, max_replicas: int) -> Played:
    """Run a task; deterministic."""
    lasting = Faults.of(parse_fault(fault) for fault in task.faults)
    service = Service(
        capacity_tokens, CONCURRENCY, batching_gain=BATCHING_GAIN, startup_seconds=float(task.startup_seconds)
    )
    sizing = Sizing(
        scaling=Scaling(min_replicas=MIN_REPLICAS, max_replicas=max_replicas),
        capacity_tokens=capacity_tokens * task.told,
        concurrency=round(CONCURRENCY * task.told),
        startup_seconds=float(task.startup_seconds),
        tick_seconds=TICK_SECONDS,
        peak_tokens=rates.peak_tokens(),
    )
    factory = factory_of(task.policy)
    run = Run(
        service=service,
        minimum=MIN_REPLICAS,
        maximum=max_replicas,
        scrape_seconds=OWN_SCRAPE_SECONDS.get(task.policy, SCRAPE_SECONDS),
        faults=lasting,
    )
    result = simulate_fluid(rates, lambda: factory(sizing), run)
    return Played(task, measured(result), _windows(result), _blind_downs(result, lasting))


def pooled(runs: Sequence[Played]) -> Windows:
    """Return the windows of several seeds as one sequence."""
    parts = [run.windows for run in runs]
    return Windows(
        np.concatenate([part.within for part in parts]),
        np.concatenate([part.arrived for part in parts]),
        np.concatenate([part.held for part in parts]),
        np.concatenate([part.oracle for part in parts]),
    )


def _windows(result: Result) -> Windows:
    starts = np.arange(0, len(result.held), WINDOW_SECONDS)
    oracle = oracle_sizes(result.offered, result.capacity_tokens)
    figures = (result.within, result.arrived, result.held, oracle)
    return Windows(*(np.add.reduceat(figure, starts) for figure in figures))


def _blind_downs(result: Result, lasting: Faults) -> int:
    down = np.flatnonzero(np.diff(result.asked) < 0) + 1
    outages = [fault for fault in lasting.all if fault.kind is FaultKind.OUTAGE]
    return sum(fault.is_on(float(second)) for second in down for fault in outages)
