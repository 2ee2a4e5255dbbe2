"""The operator's own metrics."""

from typing import Final

from prometheus_client import Counter, Histogram

from autoglm_api import names

RECONCILES: Final = Counter(names.METRIC_OPERATOR_RECONCILES, "Reconciles by result.", ["result"])
RECONCILE_SECONDS: Final = Histogram(names.METRIC_OPERATOR_RECONCILE_SECONDS, "Duration of a reconcile.")
WRITES: Final = Counter(names.METRIC_OPERATOR_WRITES, "Writes to the API server.", ["verb", "kind"])
