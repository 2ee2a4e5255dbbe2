"""Counters and histograms as plain numbers, read when Prometheus asks.

The client library takes a lock for every number that it counts, and walks a histogram's buckets one by one: that is
most of what a query would pay for its metrics. Here the event loop alone counts, so nothing is locked.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

_INFINITE: Final = "+Inf"


class Tally(Collector):
    """A counter with labels; their values must be bounded."""

    def __init__(self, registry: CollectorRegistry, name: str, text: str, labels: Sequence[str]) -> None:
        self._name = name.removesuffix("_total")
        self._text = text
        self._labels = tuple(labels)
        self._counts: dict[tuple[str, ...], int] = {}
        registry.register(self)

    def add(self, *labels: str) -> None:
        """Count one."""
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def collect(self) -> Iterable[Metric]:
        """Yield the counts so far."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, count in self._counts.items():
            family.add_metric(labels, count)
        yield family


class _Spread:
    """How many values fell into each bucket (the last one is without a bound), and their sum."""

    __slots__ = ("buckets", "total")

    def __init__(self, bounds: int) -> None:
        self.buckets = [0] * (bounds + 1)
        self.total = 0.0


class Histogram(Collector):
    """Values by bucket, per value of one label; `bounds` are upper bounds, in rising order and inclusive."""

    def __init__(self, registry: CollectorRegistry, name: str, text: str, label: str, bounds: Sequence[float]) -> None:
        self._name = name
        self._text = text
        self._label = label
        self._bounds = tuple(bounds)
        self._spreads: dict[str, _Spread] = {}
        registry.register(self)

    def observe(self, whose: str, value: float) -> None:
        """Take in a value."""
        spread = self._spreads.get(whose)
        if spread is None:
            spread = self._spreads[whose] = _Spread(len(self._bounds))
        spread.buckets[bisect_left(self._bounds, value)] += 1
        spread.total += value

    def collect(self) -> Iterable[Metric]:
        """Yield the buckets so far, each with those below it, as Prometheus wants them."""
        family = HistogramMetricFamily(self._name, self._text, labels=(self._label,))
        names = [*map(floatToGoString, self._bounds), _INFINITE]
        for whose, spread in self._spreads.items():
            below = 0
            buckets = []
            for name, count in zip(names, spread.buckets, strict=True):
                below += count
                buckets.append((name, below))
            family.add_metric((whose,), buckets, spread.total)
        yield family
