"""Ours against each other policy on the same windows of the same traces: paired bootstrap."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from play import Windows

from autoglm_operator.simulate.uncertainty import Interval

SAMPLES: Final = 1000
TRIFLE_POINTS: Final = 0.05
"""Percentage points of attainment that nobody cares about."""
TRIFLE_COST: Final = 0.01


@dataclass(frozen=True)
class Difference:
    """Ours minus theirs: percentage points of SLO attainment, and cost over the oracle's."""

    slo: Interval
    cost: Interval

    @property
    def verdict(self) -> str:
        """Return how ours does.

        | surely better or worse in one | in the other              | verdict |
        |-------------------------------|---------------------------|---------|
        | better                        | not even a lean for worse | wins    |
        | worse                         | not even a lean to better | loses   |
        | either                        | else                      | trades  |
        | neither                       |                           | even    |
        """
        sure = {_sign(self.slo, TRIFLE_POINTS), -_sign(self.cost, TRIFLE_COST)}
        leans = {_leans(self.slo, TRIFLE_POINTS), -_leans(self.cost, TRIFLE_COST)}
        if 1 in sure and -1 not in leans:
            return "wins"
        if -1 in sure and 1 not in leans:
            return "loses"
        return "even" if sure == {0} else "trades"


def difference(ours: Windows, theirs: Windows, seed: int = 7) -> Difference:
    """Return the differences with intervals from resampled windows, the same ones for both."""
    count = len(ours.arrived)
    drawn = np.random.default_rng(seed).integers(0, count, size=(SAMPLES, count))
    everything = np.arange(count)[np.newaxis]
    return Difference(
        _interval(_slo(ours, everything) - _slo(theirs, everything), _slo(ours, drawn) - _slo(theirs, drawn)),
        _interval(_cost(ours, everything) - _cost(theirs, everything), _cost(ours, drawn) - _cost(theirs, drawn)),
    )


def _sign(found: Interval, trifle: float) -> int:
    """Return +1 or -1 when ours is surely higher or lower, by more than a trifle; 0 otherwise."""
    return 0 if abs(found.value) <= trifle else (found.low > 0) - (found.high < 0)


def _leans(found: Interval, trifle: float) -> int:
    """Return +1 or -1 when ours is higher or lower by more than a trifle, surely or not."""
    return (found.value > trifle) - (found.value < -trifle)


def _slo(windows: Windows, rows: np.ndarray) -> np.ndarray:
    arrived = windows.arrived[rows].sum(axis=1)
    within = windows.within[rows].sum(axis=1)
    return np.asarray(100 * np.divide(within, arrived, out=np.ones_like(within), where=arrived > 0))


def _cost(windows: Windows, rows: np.ndarray) -> np.ndarray:
    return np.asarray(windows.held[rows].sum(axis=1) / windows.oracle[rows].sum(axis=1))


def _interval(value: np.ndarray, resampled: np.ndarray) -> Interval:
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Interval(float(value[0]), float(low), float(high))
