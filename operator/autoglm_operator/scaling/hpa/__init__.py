"""The HorizontalPodAutoscaler of Kubernetes as a pure function: every metric kind, and one whole reconcile.

Our own pools use only a part of it (`signals`, `behavior`); the rest is the yardstick that simulations and tests
compare with. Facts: kubernetes v1.36 pkg/controller/podautoscaler. What is the same and what differs, sentence by
sentence with its test: docs/reference/scaling-differences.md.
"""

from autoglm_operator.scaling.behavior import Bounds
from autoglm_operator.scaling.history import History, Recommendation, ScaleEvent
from autoglm_operator.scaling.hpa.metrics import (
    AverageValue,
    Fleet,
    Metric,
    MetricError,
    PodsAverage,
    Unavailable,
    Utilization,
    Value,
)
from autoglm_operator.scaling.hpa.pods import Phase, Pod, Readiness, Timing, Usage
from autoglm_operator.scaling.hpa.step import Autoscaler, Step, reconcile
from autoglm_operator.scaling.rules import Tolerance

__all__ = [
    "Autoscaler",
    "AverageValue",
    "Bounds",
    "Fleet",
    "History",
    "Metric",
    "MetricError",
    "Phase",
    "Pod",
    "PodsAverage",
    "Readiness",
    "Recommendation",
    "ScaleEvent",
    "Step",
    "Timing",
    "Tolerance",
    "Unavailable",
    "Usage",
    "Utilization",
    "Value",
    "reconcile",
]
