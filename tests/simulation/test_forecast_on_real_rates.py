"""The gated forecast on fourteen days of real traffic (ServeGen): it must cover more and cost little."""

import csv
import gzip
from functools import cache
from pathlib import Path

import pytest

from autoglm_operator.scaling.forecast import BIN_SECONDS, DAY, REMEMBERED, ForecastState, floor
from support.scaling_times import START, at

RATES = Path(__file__).parents[3] / "shared" / "data" / "servegen_rates_10min.csv.gz"
FIRST_BIN = int(START.timestamp()) // BIN_SECONDS
EVERY = 5
"""Every fifth bin is tested: the whole takes seconds."""

pytestmark = pytest.mark.skipif(not RATES.exists(), reason="the real rates are not in this checkout's shared data")


@cache
def rates(service: str) -> tuple[int | None, ...]:
    """Thousandths of queries/s by bin; a bin without any is a hole in the record."""
    with gzip.open(RATES, "rt") as file:
        rows = [row for row in csv.DictReader(file) if row["model"] == service]
    return tuple(round(1000 * float(row["rps"])) or None for row in rows)


def uncovered(actual: int, ready: int) -> float:
    return max(0.0, (actual - ready) / actual)


def worst(shares: list[float]) -> float:
    return sorted(shares)[int(0.95 * len(shares))]


@pytest.mark.parametrize("service", ["m-large", "m-mid", "m-small"])
def test_a_gated_forecast_covers_more_and_costs_little(service: str) -> None:
    series = rates(service)
    with_floor, without = [], []
    extra, demand = 0, 0
    for now in range(2 * DAY, len(series) - 2, EVERY):
        state = ForecastState(series[max(0, now - REMEMBERED) : now], FIRST_BIN + now)
        last, actual = series[now - 1], series[now + 2]
        if last is None or actual is None:
            continue
        ready = max(last, floor(state, at(now * BIN_SECONDS), 1200) or 0)
        with_floor.append(uncovered(actual, ready))
        without.append(uncovered(actual, last))
        extra, demand = extra + ready - last, demand + actual
    assert worst(with_floor) < worst(without)
    assert extra < 0.15 * demand
