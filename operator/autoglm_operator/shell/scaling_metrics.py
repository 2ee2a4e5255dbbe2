"""What the scaling loop exports about itself."""

from typing import Final

from prometheus_client import CollectorRegistry, Gauge, Histogram

from autoglm_api import names
from autoglm_api.status import Reason
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.capacity import capacity
from autoglm_operator.scaling.model import PoolDecision, PoolTarget
from autoglm_operator.scaling.startup import startup_seconds
from autoglm_operator.scaling.state import PoolState, expected_milli

_LABELS: Final = ("namespace", "deployment", "pool")


class ScalingMetrics:
    """Gauges per pool, the duration of ticks, and when Prometheus last answered."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str, *more: str) -> Gauge:
            return Gauge(name, text, (*_LABELS, *more), registry=registry)

        self._desired = gauge(names.METRIC_OPERATOR_DESIRED, "Size that scaling decided.")
        self._current = gauge(names.METRIC_OPERATOR_CURRENT, "Size that is asked for now.")
        self._ready = gauge(names.METRIC_OPERATOR_READY, "Replicas that answer.")
        self._panic = gauge(names.METRIC_OPERATOR_PANIC, "1 while a burst rules the size.")
        self._fallback = gauge(names.METRIC_OPERATOR_FALLBACK, "1 while the size is the fallback for lost metrics.")
        self._capacity = gauge(names.METRIC_OPERATOR_CAPACITY, "Tokens per second that a replica is sized for.")
        self._startup = gauge(names.METRIC_OPERATOR_STARTUP, "Seconds that nine of ten replicas need to start.")
        self._limited = gauge(names.METRIC_OPERATOR_LIMITED, "1 while something keeps the size.", "reason")
        self._limits: dict[tuple[ObjectKey, str], Reason] = {}
        self.tick_seconds = Histogram(
            names.METRIC_OPERATOR_TICK_SECONDS, "Duration of one scaling tick.", registry=registry
        )
        self.source_success = Gauge(
            names.METRIC_OPERATOR_SOURCE_SUCCESS, "When Prometheus last gave a usable reply.", registry=registry
        )

    def show(self, key: ObjectKey, pool: str, target: PoolTarget, decision: PoolDecision, state: PoolState) -> None:
        """Export a decision about one pool and what it rests on."""
        labels = (key.namespace, key.name, pool)
        mu = capacity(state.capacity, expected_milli(target.scaling), decision.at)
        panics = state.panic.until is not None and decision.at < state.panic.until
        values = {
            self._desired: decision.replicas,
            self._current: target.current,
            self._ready: target.ready,
            self._panic: panics,
            self._fallback: decision.reason is Reason.METRICS_FALLBACK,
            self._startup: startup_seconds(state.startups, target.scaling.startup_seconds),
        }
        for gauge, value in values.items():
            gauge.labels(*labels).set(value)
        if mu is not None:
            self._capacity.labels(*labels).set(mu.milli / 1000)
        self._limit(key, pool, decision.limited)

    def forget(self, key: ObjectKey, pool: str) -> None:
        """Export nothing more about a pool that is gone."""
        labels = {"namespace": key.namespace, "deployment": key.name, "pool": pool}
        self._limits.pop((key, pool), None)
        for gauge in (
            *(self._desired, self._current, self._ready, self._panic, self._fallback),
            *(self._capacity, self._startup, self._limited),
        ):
            gauge.remove_by_labels(labels)

    def _limit(self, key: ObjectKey, pool: str, limited: Reason | None) -> None:
        before = self._limits.get((key, pool))
        if before is not None and before is not limited:
            self._limited.labels(key.namespace, key.name, pool, before).set(0)
        if limited is not None:
            self._limits[key, pool] = limited
            self._limited.labels(key.namespace, key.name, pool, limited).set(1)
