"""KEDA's reading of a Prometheus reply and its fallback, as pure functions: the rules that ours are compared with.

Facts: keda v2.21 pkg/scalers/prometheus_scaler.go and pkg/fallback/fallback.go. Ours differ on purpose: a series that
is gone is never zero load (`scaling/readings.py`, docs/reference/scaling-differences.md).
"""

from autoglm_operator.scaling.keda.fallback import (
    Behavior,
    Failed,
    Fallback,
    Nil,
    Outcome,
    Served,
    TargetType,
    Trigger,
    Workload,
    fallback_size,
    with_fallback,
)
from autoglm_operator.scaling.keda.reply import ReplyError, is_active, metric_milli, value_of

__all__ = [
    "Behavior",
    "Failed",
    "Fallback",
    "Nil",
    "Outcome",
    "ReplyError",
    "Served",
    "TargetType",
    "Trigger",
    "Workload",
    "fallback_size",
    "is_active",
    "metric_milli",
    "value_of",
    "with_fallback",
]
