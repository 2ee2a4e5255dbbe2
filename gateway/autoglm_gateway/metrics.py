"""The gateway's metrics. Labels are bounded: pools of the configuration, two classes, status codes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Histogram as LibraryHistogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from autoglm_api import names
from autoglm_api.config import ClassDemand
from autoglm_api.spec import QueryClass
from autoglm_gateway.counting import Histogram, Tally
from autoglm_gateway.pool import Pool

# Seconds; from a cached look-up to a long generation on a slow machine.
_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320)
_LAG_BUCKETS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)
# The label of a query that was refused before it had a pool.
NO_POOL: Final = "none"


@dataclass(slots=True)
class Offered:
    """What clients asked of one class since the start."""

    queries: int = 0
    tokens: int = 0


class _PoolGauges(Collector):
    """Reads the pools when asked, so that a gauge is there from the start and costs nothing per query."""

    def __init__(self, pools: Callable[[], Iterable[Pool]]) -> None:
        self._pools = pools

    def collect(self) -> Iterable[Metric]:
        queued = GaugeMetricFamily(names.METRIC_GATEWAY_QUEUED, "Queries waiting in this gateway.", labels=["pool"])
        flying = GaugeMetricFamily(names.METRIC_GATEWAY_IN_FLIGHT, "Queries sent to a replica.", labels=["pool"])
        ready = GaugeMetricFamily(names.METRIC_GATEWAY_ENDPOINTS, "Ready replicas that are known.", labels=["pool"])
        tiers = GaugeMetricFamily(names.METRIC_GATEWAY_QUEUED_TIER, "Waiting, by tier.", labels=["pool", "tier"])
        promoted = _family(names.METRIC_GATEWAY_PROMOTIONS, "Queries that waited long and moved up a tier.", "pool")
        tau = GaugeMetricFamily(
            names.METRIC_GATEWAY_PREDICTION_TAU, "Rank correlation of predicted and real lengths.", labels=["pool"]
        )
        for pool in self._pools():
            for tier, count in pool.waiting().items():
                tiers.add_metric([pool.name, tier], count)
            promoted.add_metric([pool.name], pool.promotions)
            if pool.predicts():
                tau.add_metric([pool.name], pool.predictor.tau)
            queued.add_metric([pool.name], pool.queued)
            flying.add_metric([pool.name], pool.in_flight)
            ready.add_metric([pool.name], pool.ready_replicas)
        return [queued, flying, ready, tiers, promoted, tau]


class _TokenCounts(Collector):
    """The work that was offered and served; plain numbers, because a counter with labels costs a lock per query."""

    def __init__(self, pools: Callable[[], Iterable[Pool]], offered: Mapping[QueryClass, Offered]) -> None:
        self._pools = pools
        self._offered = offered

    def collect(self) -> Iterable[Metric]:
        queries = _family(names.METRIC_GATEWAY_OFFERED_QUERIES, "Queries that arrived, by class.", "class")
        tokens = _family(names.METRIC_GATEWAY_OFFERED_TOKENS, "Estimated tokens of them.", "class")
        served = _family(names.METRIC_GATEWAY_SERVED_TOKENS, "Estimated tokens of answered queries.", "pool")
        queued = GaugeMetricFamily(names.METRIC_GATEWAY_QUEUED_TOKENS, "Tokens of waiting queries.", labels=["pool"])
        for query_class, offered in self._offered.items():
            queries.add_metric([query_class], offered.queries)
            tokens.add_metric([query_class], offered.tokens)
        for pool in self._pools():
            served.add_metric([pool.name], pool.served_tokens)
            queued.add_metric([pool.name], pool.queued_tokens)
        return [queries, tokens, served, queued]


class Metrics:
    """All metrics of one gateway, in a registry of their own."""

    def __init__(
        self,
        pools: Callable[[], Iterable[Pool]],
        complex_share: Callable[[], float] = lambda: 0.0,
        key_problems: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.registry = CollectorRegistry()
        self._queries = Tally(
            self.registry,
            names.METRIC_GATEWAY_QUERIES,
            "Queries by status code; 499: the client left, 'broken': the answer broke after its first byte.",
            ("pool", "class", "code"),
        )
        self._routed = self._counter(names.METRIC_GATEWAY_ROUTED, "Queries by class and by what chose it.", "class")
        self._spilled = self._counter(
            names.METRIC_GATEWAY_SPILLED, "Queries of a class without room, by the pool that took them.", "class"
        )
        self._weights = Gauge(
            names.METRIC_GATEWAY_WEIGHTS_BROKEN, "1: the named routing weights are not in use.", registry=self.registry
        )
        share = Gauge(
            names.METRIC_GATEWAY_COMPLEX_SHARE, "Complex among the last hour's queries.", registry=self.registry
        )
        share.set_function(lambda: 100 * complex_share())
        problems = Gauge(names.METRIC_GATEWAY_KEY_PROBLEMS, "Entries of the Secret not in use.", registry=self.registry)
        problems.set_function(key_problems)
        self._limited = Tally(
            self.registry,
            names.METRIC_GATEWAY_LIMITED,
            "Queries that a limit of the caller's key refused.",
            ("limit",),
        )
        self._lag = LibraryHistogram(
            names.METRIC_GATEWAY_LOOP_LAG, "How late a timer was.", buckets=_LAG_BUCKETS, registry=self.registry
        )
        self._rejected = self._counter(names.METRIC_GATEWAY_REJECTED, "Queries that no replica has begun to answer.")
        self._retries = self._counter(names.METRIC_GATEWAY_RETRIES, "Attempts that were followed by another one.")
        self._queue = self._histogram(names.METRIC_GATEWAY_QUEUE_SECONDS, "Time spent waiting for a replica.")
        self._first = self._histogram(names.METRIC_GATEWAY_FIRST_BYTE_SECONDS, "Time to the answer's first byte.")
        self._duration = self._histogram(names.METRIC_GATEWAY_DURATION_SECONDS, "Time to the answer's last byte.")
        self._offered = {query_class: Offered() for query_class in QueryClass}
        self.registry.register(_PoolGauges(pools))
        self.registry.register(_TokenCounts(pools, self._offered))

    def offered(self, query_class: QueryClass, tokens: int) -> None:
        """Count a query on arrival: its class before any budget or spillover, and its tokens by the estimate."""
        counts = self._offered[query_class]
        counts.queries += 1
        counts.tokens += tokens

    def offers(self) -> list[ClassDemand]:
        """Return what was offered since the start, by class."""
        return [
            ClassDemand(query_class=query_class, queries=counts.queries, tokens=counts.tokens)
            for query_class, counts in self._offered.items()
        ]

    def count(self, pool: str, query_class: str, code: str) -> None:
        """Count a query that is over."""
        self._queries.add(pool, query_class, code)

    def routed(self, query_class: str, chosen_by: str) -> None:
        """Count a query that got its class; `chosen_by` is one of a few fixed words."""
        self._routed.add(query_class, chosen_by)

    def spilled(self, query_class: str, pool: str) -> None:
        """Count a query of a class without room that a pool of the other class takes."""
        self._spilled.add(query_class, pool)

    def weights_broken(self, *, broken: bool) -> None:
        """Say whether the named routing weights cannot be used."""
        self._weights.set(int(broken))

    def limited(self, limit: str) -> None:
        """Count a query that a limit of its caller's key refused; `limit` is the refusal's code."""
        self._limited.add(limit)

    def lagged(self, seconds: float) -> None:
        """Note how late a timer was."""
        self._lag.observe(seconds)

    def rejected(self, pool: str, reason: str) -> None:
        """Count a query that ends without an answer of a replica; `reason` is the refusal's code."""
        self._rejected.add(pool, reason)

    def retried(self, pool: str, reason: str) -> None:
        """Count an attempt that is followed by another one."""
        self._retries.add(pool, reason)

    def _counter(self, name: str, text: str, whose: str = "pool") -> Tally:
        return Tally(self.registry, name, text, (whose, "reason"))

    def waited(self, pool: str, seconds: float) -> None:
        """Note the time in the queue."""
        self._queue.observe(pool, seconds)

    def first_byte(self, pool: str, seconds: float) -> None:
        """Note the time from arrival to the first byte of the answer."""
        self._first.observe(pool, seconds)

    def finished(self, pool: str, seconds: float) -> None:
        """Note the time from arrival to the end of the answer."""
        self._duration.observe(pool, seconds)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(self.registry, name, text, "pool", _BUCKETS)


def _family(name: str, text: str, label: str) -> CounterMetricFamily:
    return CounterMetricFamily(name.removesuffix("_total"), text, labels=[label])
