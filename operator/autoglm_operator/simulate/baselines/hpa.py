"""HorizontalPodAutoscaler (kubernetes v1.36, without `behavior`, sync 15 s) on three metrics.

| policy          | metric                                                         | target           |
|-----------------|----------------------------------------------------------------|------------------|
| hpa-utilization | Pods: busy share of each ready replica; starting ones have none | 0.7              |
| hpa-token-rate  | External, AverageValue: offered tokens/s at the gateway         | 0.7 of capacity  |
| hpa-concurrency | External, AverageValue: queries that wait or are worked on      | 0.7 of the slots |
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from autoglm_operator.scaling.hpa import (
    Autoscaler,
    AverageValue,
    Bounds,
    Fleet,
    History,
    Metric,
    Pod,
    PodsAverage,
    Readiness,
    Unavailable,
    Usage,
    reconcile,
)
from autoglm_operator.simulate.baselines import EPOCH, TARGET_SHARE
from autoglm_operator.simulate.policies import Sizing
from autoglm_operator.simulate.policy import View

SYNC_SECONDS: Final = 15.0
_START: Final = datetime.fromtimestamp(EPOCH, UTC)
_NO_METRICS: Final = Unavailable("unable to get metrics")
MetricOf = Callable[[View], Metric]


@dataclass(slots=True)
class Hpa:
    """An HPA and its memory."""

    name: str
    bounds: Bounds
    metric_of: MetricOf
    tick_seconds: float = SYNC_SECONDS
    history: History = field(default_factory=History)

    def decide(self, view: View) -> int:
        """Return the size after one reconcile."""
        metric = self.metric_of(view) if view.sampled_at is not None else _NO_METRICS
        fleet = Fleet(view.current, view.current, _pods(view.current, view.ready), _START + timedelta(seconds=view.now))
        step = reconcile(Autoscaler(self.bounds, (metric,)), fleet, self.history)
        self.history = step.history
        return step.replicas


def hpa_utilization(sizing: Sizing) -> Hpa:
    """Return an HPA on the mean utilisation of the replicas."""
    return _hpa("hpa-utilization", sizing, _utilization)


def hpa_token_rate(sizing: Sizing) -> Hpa:
    """Return an HPA on the offered tokens/s."""
    target = max(1, int(sizing.capacity_tokens * TARGET_SHARE * 1000))
    return _hpa("hpa-token-rate", sizing, lambda view: AverageValue(target, [int(view.offered_tokens * 1000)]))


def hpa_concurrency(sizing: Sizing) -> Hpa:
    """Return an HPA on the queries in the system."""
    target = max(1, int(sizing.concurrency * TARGET_SHARE * 1000))
    return _hpa(
        "hpa-concurrency", sizing, lambda view: AverageValue(target, [int((view.queued + view.in_flight) * 1000)])
    )


def on_advice(sizing: Sizing, name: str, replicas: Callable[[], int]) -> Hpa:
    """Return an HPA that follows a number of replicas: an External metric with AverageValue 1 (the WVA pattern)."""
    return _hpa(name, sizing, lambda _: AverageValue(1000, [replicas() * 1000]))


def _hpa(name: str, sizing: Sizing, metric_of: MetricOf) -> Hpa:
    return Hpa(name, Bounds(max(1, sizing.scaling.min_replicas), sizing.scaling.max_replicas), metric_of)


def _utilization(view: View) -> Metric:
    answering = round(view.ready * (1.0 - view.partial))
    sample = Usage(int(view.utilization * 1000), _START + timedelta(seconds=view.now), timedelta(seconds=15))
    return PodsAverage(int(TARGET_SHARE * 1000), {f"pod-{index}": sample for index in range(answering)})


@lru_cache(maxsize=64)
def _pods(current: int, ready: int) -> tuple[Pod, ...]:
    """Return the pods: the ready ones first, then those that start (Running, without a sample yet)."""
    is_up = Readiness(is_false=False, is_true=True, changed_at=_START)
    starts = Readiness(is_false=True, is_true=False, changed_at=_START)
    return tuple(Pod(f"pod-{index}", readiness=is_up if index < ready else starts) for index in range(current))
