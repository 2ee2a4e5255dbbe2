"""What the gateways report, as Prometheus knows it: one query per tick for every resource."""

from autoglm_operator.shell.prometheus.client import Prometheus, PrometheusError
from autoglm_operator.shell.prometheus.coverage import GatewayMetrics

__all__ = ["GatewayMetrics", "Prometheus", "PrometheusError"]
