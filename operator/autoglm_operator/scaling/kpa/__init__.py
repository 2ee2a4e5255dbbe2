"""Knative's pod autoscaler as pure functions: a second yardstick, and the source of our panic semantics.

Facts: knative serving v0.51 pkg/autoscaler (scaling/autoscaler.go, aggregation/bucketing.go, aggregation/max) and
pkg/reconciler/autoscaling/kpa. What is the same and what differs: docs/reference/scaling-differences.md.
"""

from autoglm_operator.scaling.kpa.decide import TICK, Memory, Profile, Scale, activators, decide, started
from autoglm_operator.scaling.kpa.window import (
    Averages,
    Bucket,
    averages,
    exponential_average,
    panic_window,
    window_average,
)
from autoglm_operator.scaling.kpa.zero import Activity, LastStep, Path, ZeroRules, bounded, last_step

__all__ = [
    "TICK",
    "Activity",
    "Averages",
    "Bucket",
    "LastStep",
    "Memory",
    "Path",
    "Profile",
    "Scale",
    "ZeroRules",
    "activators",
    "averages",
    "bounded",
    "decide",
    "exponential_average",
    "last_step",
    "panic_window",
    "started",
    "window_average",
]
