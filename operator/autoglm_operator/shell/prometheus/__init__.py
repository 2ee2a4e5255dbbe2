"""What gateways and replicas report, as Prometheus knows it: one batch of queries per tick for every resource."""

from autoglm_operator.shell.prometheus.client import Prometheus, PrometheusError
from autoglm_operator.shell.prometheus.replicas import PoolKey
from autoglm_operator.shell.prometheus.telemetry import Telemetry
from autoglm_operator.shell.prometheus.wanted import Wanted, wanted_by

__all__ = ["PoolKey", "Prometheus", "PrometheusError", "Telemetry", "Wanted", "wanted_by"]
