"""NVIDIA Dynamo planner, throughput loop alone: every 180 s, size = ceil(predicted load / load per engine).

`dynamo` predicts that the last interval repeats (predictor `constant`); `dynamo-trend` by the local linear trend of
its Kalman predictor (q_level 1, q_trend 0.1, r 10, at least 5 points). An engine's load under the SLO is 0.85 of its
capacity, as the oracle's. The load loop above this floor is not part of it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from autoglm_operator.simulate.policies import Sizing
from autoglm_operator.simulate.policy import View
from autoglm_operator.simulate.static import TARGET_USE

INTERVAL_SECONDS: Final = 180.0
SAMPLE_SECONDS: Final = 60.0
_MIN_POINTS: Final = 5
_Q_LEVEL: Final = 1.0
_Q_TREND: Final = 0.1
_NOISE: Final = 10.0
Predict = Callable[[list[float]], float]


@dataclass(slots=True)
class Dynamo:
    """The planner's history of loads, in engines' worth."""

    name: str
    per_replica: float
    minimum: int
    maximum: int
    predict: Predict
    tick_seconds: float = SAMPLE_SECONDS
    minutes: list[float] = field(default_factory=list)
    intervals: list[float] = field(default_factory=list)
    due: float = INTERVAL_SECONDS

    def decide(self, view: View) -> int:
        """Return the size; it changes at the end of an interval only."""
        if view.sampled_at is not None:
            self.minutes.append(view.offered_tokens)
        if view.now < self.due:
            return view.current
        self.due = view.now + INTERVAL_SECONDS
        if not self.minutes:
            return view.current
        self.intervals.append(sum(self.minutes) / len(self.minutes) / self.per_replica)
        self.minutes.clear()
        wanted = math.ceil(max(0.0, self.predict(self.intervals)) - 1e-9)
        return min(max(wanted, self.minimum), self.maximum)


def constant(intervals: list[float]) -> float:
    """Return the last interval's load."""
    return intervals[-1]


def kalman_trend(intervals: list[float]) -> float:
    """Return the next load by a local linear trend, filtered over all intervals; the last one while there are few."""
    if len(intervals) < _MIN_POINTS:
        return intervals[-1]
    step = np.array([[1.0, 1.0], [0.0, 1.0]])
    drift, seen = np.diag([_Q_LEVEL, _Q_TREND]), np.array([1.0, 0.0])
    state, spread = np.array([intervals[0], 0.0]), np.eye(2) * _NOISE
    for load in intervals[1:]:
        state, spread = step @ state, step @ spread @ step.T + drift
        gain = spread @ seen / (seen @ spread @ seen + _NOISE)
        state, spread = state + gain * (load - seen @ state), spread - np.outer(gain, seen @ spread)
    return float((step @ state)[0])


def dynamo(sizing: Sizing) -> Dynamo:
    """Return the loop with the constant predictor."""
    return _planner("dynamo", sizing, constant)


def dynamo_trend(sizing: Sizing) -> Dynamo:
    """Return the loop with the Kalman predictor."""
    return _planner("dynamo-trend", sizing, kalman_trend)


def _planner(name: str, sizing: Sizing, predict: Predict) -> Dynamo:
    bounds = max(1, sizing.scaling.min_replicas), sizing.scaling.max_replicas
    return Dynamo(name, sizing.capacity_tokens * TARGET_USE, *bounds, predict)
