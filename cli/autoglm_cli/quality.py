"""How good a ranking of queries is, by the measures of RouteLLM (arXiv 2406.18665). Pure; needs numpy.

Sending the best-ranked share of the queries to the large model gives an accuracy between that of the light model (0 %)
and that of the large one (100 %). PGR is the part of that gap that is recovered. APGR is the area under PGR over the
share of calls (random: 0.5); CPT50 and CPT80 are the least share, in percent, at which PGR reaches 0.5 and 0.8.
As in RouteLLM's code the share moves in ten steps between quantiles of the scores, with straight lines between.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
_STEPS: Final = 11
_SHUFFLES: Final = 50
_HALF, _MOST = 0.5, 0.8


class NoGapError(ValueError):
    """Both models are equally good on these rows: there is nothing to recover."""


@dataclass(frozen=True, slots=True)
class Labels:
    """Correctness of both models per query, 0 to 1."""

    weak: Numbers
    strong: Numbers

    @property
    def gap(self) -> float:
        """Return how much better the large model is on average."""
        return float(self.strong.mean() - self.weak.mean())

    def take(self, rows: NDArray[np.intp]) -> "Labels":
        """Return some of the rows."""
        return Labels(self.weak[rows], self.strong[rows])


@dataclass(frozen=True, slots=True)
class Quality:
    """The measures of one ranking; cpt50 and cpt80 in percent of the calls."""

    apgr: float
    cpt50: float
    cpt80: float


def quality(scores: Numbers, labels: Labels) -> Quality:
    """Return the measures of a ranking; raises NoGapError."""
    if labels.gap == 0:
        raise NoGapError("both models are equally good on these rows: there is no gap to recover")
    shares, recovered = _curve(scores, labels)
    area = float(np.trapezoid(recovered, shares))
    return Quality(area, _least_share(shares, recovered, _HALF), _least_share(shares, recovered, _MOST))


def _curve(scores: Numbers, labels: Labels) -> tuple[Numbers, Numbers]:
    """Return shares of calls in rising order and the part of the gap that each recovers."""
    thresholds = np.unique(np.quantile(scores, np.linspace(0, 1, _STEPS)))[::-1]
    chosen = [scores > thresholds[0], *(scores >= threshold for threshold in thresholds)]
    shares = np.array([float(mask.mean()) for mask in chosen])
    gains = np.array([float(np.where(mask, labels.strong - labels.weak, 0.0).mean()) for mask in chosen])
    once = np.concatenate(([True], np.diff(shares) > 0))
    return shares[once], gains[once] / labels.gap


def _least_share(shares: Numbers, recovered: Numbers, wanted: float) -> float:
    """Return the first point, in percent, at which the curve reaches `wanted`."""
    place = int(np.argmax(recovered >= wanted))
    if place == 0:
        return float(shares[0] * 100)
    left, right = recovered[place - 1], recovered[place]
    part = (wanted - left) / (right - left)
    return float((shares[place - 1] + part * (shares[place] - shares[place - 1])) * 100)


def interval(scores: Numbers, labels: Labels, *, draws: int, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of APGR; draws without a gap are left out."""
    values = _resampled([scores], labels, draws, seed)[:, 0]
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def difference(scores: Numbers, other: Numbers, labels: Labels, *, draws: int, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the first ranking's APGR less the other's, on the same draws."""
    values = _resampled([scores, other], labels, draws, seed)
    low, high = np.quantile(values[:, 0] - values[:, 1], (0.025, 0.975))
    return float(low), float(high)


def _resampled(rankings: list[Numbers], labels: Labels, draws: int, seed: int) -> Numbers:
    rng = np.random.default_rng(seed)
    size = len(labels.weak)
    found = []
    for rows in (rng.integers(0, size, size) for _ in range(draws)):
        taken = labels.take(rows)
        # A draw whose gap is nearly none says nothing and would outweigh all others.
        if taken.gap * labels.gap > 0:
            found.append([quality(scores[rows], taken).apgr for scores in rankings])
    if not found:
        raise NoGapError("too few rows for an interval")
    return np.array(found)


def of_random(labels: Labels, seed: int = 0) -> Quality:
    """Return the mean measures of random rankings."""
    rng = np.random.default_rng(seed)
    each = [quality(rng.random(len(labels.weak)), labels) for _ in range(_SHUFFLES)]
    return Quality(
        *(float(np.mean([getattr(one, name) for one in each])) for name in ("apgr", "cpt50", "cpt80")),
    )
