"""How sure a difference is: paired bootstrap over windows of time, and the Pareto front of a sweep.

Two policies meet the same trace, so their windows are drawn in pairs: what both find hard cancels out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from autoglm_operator.simulate.measures import slo_attainment
from autoglm_operator.simulate.replay import Result
from autoglm_operator.simulate.traces import Floats

WINDOW_SECONDS: Final = 300
DRAWS: Final = 2000
_TAILS: Final = (2.5, 97.5)


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Difference:
    """First policy less (SLO) or over (cost) the second."""

    slo_points: Interval
    """Percentage points of SLO attainment; above 0: the first is better."""
    cost_ratio: Interval
    """Replica-hours of the first over those of the second; below 1: the first is cheaper."""


def difference(first: Sequence[Result], second: Sequence[Result], rng: np.random.Generator) -> Difference:
    """Return how two policies differ over the same runs (one result per seed, in the same order)."""
    mine, other = _windows(first), _windows(second)
    drawn = rng.integers(0, len(mine), size=(DRAWS, len(mine)))
    points = _attainment(mine[drawn].sum(axis=1)) - _attainment(other[drawn].sum(axis=1))
    ratio = mine[drawn].sum(axis=1)[:, 2] / other[drawn].sum(axis=1)[:, 2]
    whole = mine.sum(axis=0, keepdims=True), other.sum(axis=0, keepdims=True)
    return Difference(
        _interval(float((_attainment(whole[0]) - _attainment(whole[1]))[0]), points),
        _interval(float(whole[0][0, 2] / whole[1][0, 2]), ratio),
    )


def attainment_interval(results: Sequence[Result], rng: np.random.Generator) -> Interval:
    """Return the SLO attainment of some runs with its bootstrap interval, in percent."""
    windows = _windows(results)
    drawn = windows[rng.integers(0, len(windows), size=(DRAWS, len(windows)))].sum(axis=1)
    within, arrived = (np.concatenate([getattr(one, name) for one in results]) for name in ("within", "arrived"))
    return _interval(slo_attainment(within, arrived), _attainment(drawn))


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Tell for each (SLO attainment, cost) whether no other is at least as good in both and better in one."""
    return [
        not any(slo >= mine and cost <= price and (slo, cost) != (mine, price) for slo, cost in points)
        for mine, price in points
    ]


def _windows(results: Sequence[Result]) -> Floats:
    """Return rows of (queries within the objective, queries, replica-seconds), one per window of every run."""
    rows = []
    for result in results:
        starts = np.arange(0, len(result.held), WINDOW_SECONDS)
        columns = [np.add.reduceat(part, starts) for part in (result.within, result.arrived, result.held)]
        rows.append(np.stack(columns, axis=1))
    return np.concatenate(rows)


def _attainment(sums: Floats) -> Floats:
    return np.where(sums[..., 1] > 0, 100.0 * sums[..., 0] / np.maximum(sums[..., 1], 1e-9), 100.0)


def _interval(value: float, drawn: Floats) -> Interval:
    low, high = np.percentile(drawn, _TAILS)
    return Interval(value, float(low), float(high))
