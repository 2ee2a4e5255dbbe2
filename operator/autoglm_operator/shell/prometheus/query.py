"""The query of a tick: every gateway's load in every namespace, with sample times and scrape targets.

Rows are raw series, one per gateway and pool (or class), because a sum inside Prometheus would hide what makes a figure
unusable: a NaN, a negative value, an old sample, a gateway that is not scraped. The label `autoglm_series` tells the
parts apart. A gateway's target has no target label `pool` (a worker's has), so `up` without it lists the gateways.

A rate is taken over the shortest window of a ladder that has two samples, so that the same query is right for every
scrape interval up to 75 s.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final, TypeVar

from autoglm_api import names

SERIES_LABEL: Final = "autoglm_series"
OURS: Final = f'{names.SERIES_LABEL_DEPLOYMENT}!=""'
"""Selects the series of targets that are gateways or workers."""
_Part = TypeVar("_Part", bound=str)
LONG_WINDOWS: Final = ("60s", "150s")
SHORT_WINDOWS: Final = ("10s", "30s", "60s", "150s")


class Series(StrEnum):
    """The parts of the reply, as values of `autoglm_series`."""

    QUEUED = "queued"
    QUEUED_AT = "queued_at"
    IN_FLIGHT = "in_flight"
    IN_FLIGHT_AT = "in_flight_at"
    QUEUED_TOKENS = "queued_tokens"
    OFFERED = "offered"
    OFFERED_NOW = "offered_now"
    SERVED = "served"
    UP = "up"


def gateway_load_query() -> str:
    """Return the PromQL of a tick; its length does not depend on the number of resources."""
    queued = f"{names.METRIC_GATEWAY_QUEUED}{{{OURS}}}"
    in_flight = f"{names.METRIC_GATEWAY_IN_FLIGHT}{{{OURS}}}"
    return labelled(
        {
            Series.QUEUED: queued,
            Series.QUEUED_AT: f"timestamp({queued})",
            Series.IN_FLIGHT: in_flight,
            Series.IN_FLIGHT_AT: f"timestamp({in_flight})",
            Series.QUEUED_TOKENS: f"{names.METRIC_GATEWAY_QUEUED_TOKENS}{{{OURS}}}",
            Series.OFFERED: mean_rate_of(names.METRIC_GATEWAY_OFFERED_TOKENS),
            Series.OFFERED_NOW: rate_of(names.METRIC_GATEWAY_OFFERED_TOKENS, SHORT_WINDOWS),
            Series.SERVED: mean_rate_of(names.METRIC_GATEWAY_SERVED_TOKENS),
            Series.UP: f'up{{{OURS},{names.SERIES_LABEL_POOL}=""}}',
        }
    )


def labelled(parts: Mapping[_Part, str]) -> str:
    """Return one query of several, whose rows say by the label `autoglm_series` which of them they answer."""
    return " or ".join(f'label_replace({of}, "{SERIES_LABEL}", "{name}", "", "")' for name, of in parts.items())


def mean_rate_of(metric: str) -> str:
    """Return a counter's rate over the long window, or over as much of it as the counter has existed.

    Prometheus divides by the whole window however young the series is: a gateway that started 15 s ago would seem to
    get a quarter of its load.
    """
    counter = f"{metric}{{{OURS}}}"
    grown = (f"rate({counter}[{window}]) and {counter} offset {window}" for window in ("60s", "30s"))
    return " or ".join((*grown, rate_of(metric, SHORT_WINDOWS)))


def rate_of(metric: str, windows: Sequence[str]) -> str:
    """Return the rate of our series of a counter over the first window that has enough samples."""
    return " or ".join(f"rate({metric}{{{OURS}}}[{window}])" for window in windows)
