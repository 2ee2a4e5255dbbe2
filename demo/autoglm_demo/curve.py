"""How much traffic there is at each moment: a piecewise-linear arrival rate and the arrivals drawn from it."""

from collections.abc import Iterator
from itertools import pairwise
from math import sqrt
from random import Random
from typing import NamedTuple


class Knot(NamedTuple):
    """One corner of a curve: `rate` queries per second at `at` seconds."""

    at: float
    rate: float


class Curve:
    """A piecewise-linear arrival rate; the knots start at 0 and their times increase.

    Raises:
        ValueError: fewer than two knots, times that do not increase from 0, or a negative rate.
    """

    def __init__(self, *knots: Knot) -> None:
        if len(knots) < 2 or knots[0].at != 0 or any(a.at >= b.at for a, b in pairwise(knots)):  # noqa: PLR2004
            raise ValueError("a curve needs two knots or more, the first at 0, with increasing times")
        if any(knot.rate < 0 for knot in knots):
            raise ValueError("an arrival rate is never negative")
        self.knots = knots

    @property
    def seconds(self) -> float:
        """How long the curve lasts."""
        return self.knots[-1].at

    @property
    def peak(self) -> float:
        """Highest rate in queries per second."""
        return max(knot.rate for knot in self.knots)

    @property
    def expected(self) -> float:
        """Expected number of arrivals: the area under the curve."""
        return sum(_area(a, b) for a, b in pairwise(self.knots))

    def rate(self, at: float) -> float:
        """Rate at a moment; 0 outside the curve."""
        for a, b in pairwise(self.knots):
            if a.at <= at <= b.at:
                return a.rate + (b.rate - a.rate) * (at - a.at) / (b.at - a.at)
        return 0.0

    def arrivals(self, rng: Random) -> Iterator[float]:
        """Yield the arrival times of a Poisson process that follows the curve, in order.

        Unit-rate arrivals are mapped through the inverse of the accumulated rate.
        """
        due, passed = rng.expovariate(1.0), 0.0
        for a, b in pairwise(self.knots):
            area = _area(a, b)
            while due <= passed + area:
                yield a.at + _time_for(due - passed, a, b)
                due += rng.expovariate(1.0)
            passed += area


def _area(a: Knot, b: Knot) -> float:
    return (a.rate + b.rate) / 2 * (b.at - a.at)


def _time_for(area: float, a: Knot, b: Knot) -> float:
    """Time after `a` by which a segment has gathered `area` (area > 0, so not both rates are 0)."""
    slope = (b.rate - a.rate) / (b.at - a.at)
    # The root of slope/2 t^2 + rate t = area, in the form that survives slope = 0.
    return 2 * area / (a.rate + sqrt(max(a.rate**2 + 2 * slope * area, 0.0)))


def flash_sale(peak: float, scale: float = 1.0) -> Curve:
    """A flash sale: a calm shop, a crowd within seconds, a plateau, and the crowd gone again.

    `peak` is in queries per second; `scale` stretches the 90 seconds.
    """
    corners = ((0, 0.06), (8, 0.06), (20, 0.6), (28, 1.0), (55, 1.0), (65, 0.08), (90, 0.06))
    return Curve(*(Knot(at * scale, share * peak) for at, share in corners))
