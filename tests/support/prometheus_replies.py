"""Replies as Prometheus writes them, built row by row so that a test can break exactly one thing."""

import json
import time
from typing import Any

from autoglm_api import names
from autoglm_operator.shell.prometheus.query import SERIES_LABEL, Series

SHOP = ("shop", "assistant")


def row(series: Series, value: str, *, instance: str = "gw-0", pool: str = "light", **more: str) -> dict[str, Any]:
    """Return one row of shop/assistant, evaluated now."""
    labels = {
        SERIES_LABEL: series.value,
        names.SERIES_LABEL_NAMESPACE: SHOP[0],
        names.SERIES_LABEL_DEPLOYMENT: SHOP[1],
        "instance": instance,
        **({names.SERIES_LABEL_POOL: pool} if pool else {}),
        **more,
    }
    return {"metric": labels, "value": [time.time(), value]}


def gateway_rows(
    queued: str = "5", in_flight: str = "7", *, instance: str = "gw-0", pool: str = "light", age_seconds: float = 1
) -> list[dict[str, Any]]:
    """Return all rows of one healthy gateway."""
    taken = repr(time.time() - age_seconds)
    return [
        row(Series.QUEUED, queued, instance=instance, pool=pool),
        row(Series.QUEUED_AT, taken, instance=instance, pool=pool),
        row(Series.IN_FLIGHT, in_flight, instance=instance, pool=pool),
        row(Series.IN_FLIGHT_AT, taken, instance=instance, pool=pool),
        row(Series.UP, "1", instance=instance, pool=""),
    ]


def vector(rows: list[Any], **more: Any) -> bytes:
    """Return a successful reply with these rows."""
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": rows}, **more}).encode()
