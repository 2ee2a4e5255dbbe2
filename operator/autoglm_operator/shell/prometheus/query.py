"""The one query of a tick: every gateway's load in every namespace, with sample times and scrape targets.

Rows are raw series, one per gateway and pool, because a sum inside Prometheus would hide what makes a figure unusable:
a NaN, a negative value, an old sample, a gateway that is not scraped. The label `autoglm_series` tells the parts apart.
A gateway's target has no target label `pool` (a worker's has), so `up` without it lists the gateways.
"""

from enum import StrEnum
from typing import Final

from autoglm_api import names

SERIES_LABEL: Final = "autoglm_series"


class Series(StrEnum):
    """The parts of the reply, as values of `autoglm_series`."""

    QUEUED = "queued"
    QUEUED_AT = "queued_at"
    IN_FLIGHT = "in_flight"
    IN_FLIGHT_AT = "in_flight_at"
    UP = "up"


def gateway_load_query() -> str:
    """Return the PromQL of a tick; its length does not depend on the number of resources."""
    ours = f'{names.SERIES_LABEL_DEPLOYMENT}!=""'
    queued = f"{names.METRIC_GATEWAY_QUEUED}{{{ours}}}"
    in_flight = f"{names.METRIC_GATEWAY_IN_FLIGHT}{{{ours}}}"
    parts = {
        Series.QUEUED: queued,
        Series.QUEUED_AT: f"timestamp({queued})",
        Series.IN_FLIGHT: in_flight,
        Series.IN_FLIGHT_AT: f"timestamp({in_flight})",
        Series.UP: f'up{{{ours},{names.SERIES_LABEL_POOL}=""}}',
    }
    return " or ".join(f'label_replace({of}, "{SERIES_LABEL}", "{name}", "", "")' for name, of in parts.items())
