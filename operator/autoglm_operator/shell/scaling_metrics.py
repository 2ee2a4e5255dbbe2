"""What the scaling loop exports about itself."""

from prometheus_client import CollectorRegistry, Gauge, Histogram

from autoglm_api import names
from autoglm_operator.core.keys import ObjectKey


class ScalingMetrics:
    """Gauges per pool, the duration of ticks, and when Prometheus last answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("namespace", "deployment", "pool")
        self._desired = Gauge(names.METRIC_OPERATOR_DESIRED, "Size that scaling decided.", labels, registry=registry)
        self._current = Gauge(names.METRIC_OPERATOR_CURRENT, "Size that is asked for now.", labels, registry=registry)
        self.tick_seconds = Histogram(
            names.METRIC_OPERATOR_TICK_SECONDS, "Duration of one scaling tick.", registry=registry
        )
        self.source_success = Gauge(
            names.METRIC_OPERATOR_SOURCE_SUCCESS, "When Prometheus last gave a usable reply.", registry=registry
        )

    def show(self, deployment: ObjectKey, pool: str, *, desired: int, current: int) -> None:
        """Export the sizes of one pool."""
        self._desired.labels(deployment.namespace, deployment.name, pool).set(desired)
        self._current.labels(deployment.namespace, deployment.name, pool).set(current)

    def forget(self, deployment: ObjectKey, pool: str) -> None:
        """Export nothing more about a pool that is gone."""
        self._desired.remove(deployment.namespace, deployment.name, pool)
        self._current.remove(deployment.namespace, deployment.name, pool)
