"""What the cache has done, as metrics; plain numbers, because a counter with labels costs a lock per query."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from autoglm_api import names
from autoglm_gateway.cache.policy import Bypass


class Level(StrEnum):
    """Where an answer came from."""

    MEMORY = "memory"
    REDIS = "redis"
    SHARED = "shared"  # one that was on its way already


@dataclass(slots=True)
class Counts:
    """Since the start."""

    hits: Counter[Level] = field(default_factory=Counter)
    bypassed: Counter[Bypass] = field(default_factory=Counter)
    misses: int = 0
    stored: int = 0
    saved_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Gauges:
    """As of now."""

    kept_bytes: int
    redis_available: bool | None  # None: there is no Redis
    redis_errors: int


class CacheCollector(Collector):
    """Reads the numbers when asked."""

    def __init__(self, counts: Counts, gauges: Callable[[], Gauges]) -> None:
        self._counts = counts
        self._gauges = gauges

    def collect(self) -> Iterable[Metric]:
        """Yield every series, also those that are 0."""
        counts, gauges = self._counts, self._gauges()
        yield _counter(names.METRIC_GATEWAY_CACHE_HITS, "Answers from the cache.", "level", Level, counts.hits)
        text = "Queries that the cache must not answer."
        yield _counter(names.METRIC_GATEWAY_CACHE_BYPASSED, text, "reason", Bypass, counts.bypassed)
        yield _plain(names.METRIC_GATEWAY_CACHE_MISSES, "Queries that were looked up and not found.", counts.misses)
        yield _plain(names.METRIC_GATEWAY_CACHE_STORED, "Answers that were stored.", counts.stored)
        text = "Prompt (estimated) and output tokens that no replica had to work on."
        yield _plain(names.METRIC_GATEWAY_CACHE_SAVED_TOKENS, text, counts.saved_tokens)
        text = "Memory of the kept answers."
        yield GaugeMetricFamily(names.METRIC_GATEWAY_CACHE_BYTES, text, value=gauges.kept_bytes)
        if gauges.redis_available is not None:
            available = int(gauges.redis_available)
            yield GaugeMetricFamily(names.METRIC_GATEWAY_CACHE_REDIS, "1: Redis is in use.", value=available)
            text = "Late, refused or broken answers of Redis."
            yield _plain(names.METRIC_GATEWAY_CACHE_REDIS_ERRORS, text, gauges.redis_errors)


def _plain(name: str, text: str, value: int) -> CounterMetricFamily:
    return CounterMetricFamily(name.removesuffix("_total"), text, value=value)


def _counter(
    name: str, text: str, label: str, values: Iterable[StrEnum], counts: "Counter[Level] | Counter[Bypass]"
) -> CounterMetricFamily:
    family = CounterMetricFamily(name.removesuffix("_total"), text, labels=[label])
    for value in values:
        family.add_metric([value], counts[value])  # type: ignore[index]
    return family
