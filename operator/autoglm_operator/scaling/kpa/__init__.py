"""Knative's pod autoscaler as a pure function: a second yardstick, and the source of our panic semantics.

Facts: knative serving v0.51 pkg/autoscaler (scaling/autoscaler.go, aggregation/bucketing.go, aggregation/max).
The exponentially weighted average, an option there, is not part of it.
"""
