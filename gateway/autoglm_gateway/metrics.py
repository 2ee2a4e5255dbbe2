"""The gateway's metrics. Labels are bounded: pools of the configuration, two classes, status codes."""

from collections.abc import Callable, Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from autoglm_api import names
from autoglm_gateway.pool import Pool

# Seconds; from a cached look-up to a long generation on a slow machine.
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
# The label of a query that was refused before it had a pool.
NO_POOL: Final = "none"


class _PoolGauges(Collector):
    """Reads the pools when asked, so that a gauge is there from the start and costs nothing per query."""

    def __init__(self, pools: Callable[[], Iterable[Pool]]) -> None:
        self._pools = pools

    def collect(self) -> Iterable[GaugeMetricFamily]:
        queued = GaugeMetricFamily(names.METRIC_GATEWAY_QUEUED, "Queries waiting in this gateway.", labels=["pool"])
        flying = GaugeMetricFamily(names.METRIC_GATEWAY_IN_FLIGHT, "Queries sent to a replica.", labels=["pool"])
        ready = GaugeMetricFamily(names.METRIC_GATEWAY_ENDPOINTS, "Ready replicas that are known.", labels=["pool"])
        for pool in self._pools():
            queued.add_metric([pool.name], pool.queued)
            flying.add_metric([pool.name], pool.in_flight)
            ready.add_metric([pool.name], pool.ready_replicas)
        return [queued, flying, ready]


class Metrics:
    """All metrics of one gateway, in a registry of their own."""

    def __init__(self, pools: Callable[[], Iterable[Pool]]) -> None:
        self.registry = CollectorRegistry()
        self._queries = Counter(
            names.METRIC_GATEWAY_QUERIES.removesuffix("_total"),
            "Queries by status code; 499: the client left, 'broken': the answer broke after its first byte.",
            ["pool", "class", "code"],
            registry=self.registry,
        )
        self._routed = self._counter(names.METRIC_GATEWAY_ROUTED, "Queries by class and by what chose it.", "class")
        self._rejected = self._counter(names.METRIC_GATEWAY_REJECTED, "Queries that no replica has begun to answer.")
        self._retries = self._counter(names.METRIC_GATEWAY_RETRIES, "Attempts that were followed by another one.")
        self._queue = self._histogram(names.METRIC_GATEWAY_QUEUE_SECONDS, "Time spent waiting for a replica.")
        self._first = self._histogram(names.METRIC_GATEWAY_FIRST_BYTE_SECONDS, "Time to the answer's first byte.")
        self._duration = self._histogram(names.METRIC_GATEWAY_DURATION_SECONDS, "Time to the answer's last byte.")
        # Looking a child up by its labels takes a lock and costs more than counting.
        self._children: dict[tuple[str, str, str], Counter] = {}
        self._reasons: dict[tuple[Counter, str, str], Counter] = {}
        self._observers: dict[tuple[Histogram, str], Histogram] = {}
        self.registry.register(_PoolGauges(pools))

    def count(self, pool: str, query_class: str, code: str) -> None:
        """Count a query that is over."""
        key = (pool, query_class, code)
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = self._queries.labels(*key)
        child.inc()

    def routed(self, query_class: str, chosen_by: str) -> None:
        """Count a query that got its class; `chosen_by` is one of a few fixed words."""
        self._count_reason(self._routed, query_class, chosen_by)

    def rejected(self, pool: str, reason: str) -> None:
        """Count a query that ends without an answer of a replica; `reason` is the refusal's code."""
        self._count_reason(self._rejected, pool, reason)

    def retried(self, pool: str, reason: str) -> None:
        """Count an attempt that is followed by another one."""
        self._count_reason(self._retries, pool, reason)

    def _count_reason(self, counter: Counter, whose: str, reason: str) -> None:
        child = self._reasons.get((counter, whose, reason))
        if child is None:
            child = self._reasons[counter, whose, reason] = counter.labels(whose, reason)
        child.inc()

    def _counter(self, name: str, text: str, whose: str = "pool") -> Counter:
        return Counter(name.removesuffix("_total"), text, [whose, "reason"], registry=self.registry)

    def waited(self, pool: str, seconds: float) -> None:
        """Note the time in the queue."""
        self._child(self._queue, pool).observe(seconds)

    def first_byte(self, pool: str, seconds: float) -> None:
        """Note the time from arrival to the first byte of the answer."""
        self._child(self._first, pool).observe(seconds)

    def finished(self, pool: str, seconds: float) -> None:
        """Note the time from arrival to the end of the answer."""
        self._child(self._duration, pool).observe(seconds)

    def _child(self, histogram: Histogram, pool: str) -> Histogram:
        child = self._observers.get((histogram, pool))
        if child is None:
            child = self._observers[histogram, pool] = histogram.labels(pool)
        return child

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(name, text, ["pool"], buckets=_BUCKETS, registry=self.registry)
