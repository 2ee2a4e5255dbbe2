import time
from typing import Any

import pytest

from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import Load
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading
from autoglm_operator.shell.prometheus.coverage import gateway_metrics
from autoglm_operator.shell.prometheus.query import Series, gateway_load_query
from autoglm_operator.shell.prometheus.reply import PrometheusError, parsed
from support.prometheus_replies import SHOP, gateway_rows, row, vector

FRESH_SECONDS = 60


def load_of(body: bytes, pool: str = "light") -> Load:
    return gateway_metrics(parsed(body, time.time()), FRESH_SECONDS).load(ObjectKey(*SHOP), pool)


def problem_of(reading: Reading) -> Problem | None:
    return None if isinstance(reading, Fresh) else reading.problem


def test_gateways_add_up() -> None:
    rows = gateway_rows("5", "7") + gateway_rows("1.5", "0", instance="gw-1")
    assert load_of(vector(rows)) == Load(Fresh(6500), Fresh(7000))


BAD_VALUES = [
    ("NaN", Problem.NOT_A_NUMBER),
    ("+Inf", Problem.OUT_OF_RANGE),
    ("-Inf", Problem.NEGATIVE),
    ("-1", Problem.NEGATIVE),
    ("1e308", Problem.OUT_OF_RANGE),
    ("", Problem.NOT_A_NUMBER),
    ("many", Problem.NOT_A_NUMBER),
    ("0x10", Problem.NOT_A_NUMBER),
]


@pytest.mark.parametrize(("value", "problem"), BAD_VALUES)
def test_a_bad_value_is_no_figure(value: str, problem: Problem) -> None:
    load = load_of(vector(gateway_rows(queued=value)))
    assert isinstance(load.queued, NoData)
    assert load.queued.problem is problem
    assert load.in_flight == Fresh(7000)


@pytest.mark.parametrize(
    ("age", "problem"),
    [(0, None), (59, None), (61, Problem.STALE), (400, Problem.STALE), (-2, None), (-30, Problem.FUTURE)],
)
def test_the_age_of_a_sample_decides(age: float, problem: Problem | None) -> None:
    assert problem_of(load_of(vector(gateway_rows(age_seconds=age))).queued) is problem


def without(series: Series) -> list[dict[str, Any]]:
    return [given for given in gateway_rows() if given["metric"]["autoglm_series"] != series]


MISSING_ROWS = [
    (Series.QUEUED, NoData, Problem.MISSING),
    (Series.QUEUED_AT, NoData, Problem.STALE),
    (Series.UP, AtLeast, Problem.PARTIAL),
]


@pytest.mark.parametrize(("series", "kind", "problem"), MISSING_ROWS)
def test_a_row_that_is_missing_is_not_zero(series: Series, kind: type, problem: Problem) -> None:
    reading = load_of(vector(without(series))).queued
    assert isinstance(reading, kind)
    assert problem_of(reading) is problem


def test_a_silent_gateway_makes_the_figure_a_lower_bound() -> None:
    rows = [*gateway_rows(), row(Series.UP, "0", instance="gw-1", pool="")]
    reading = load_of(vector(rows)).queued
    assert reading == AtLeast(5000, Problem.PARTIAL, "1 of 2 gateways report; gw-1: Missing")


def test_a_series_scraped_twice_is_ambiguous() -> None:
    rows = [*gateway_rows(), row(Series.QUEUED, "5", job="other")]
    assert problem_of(load_of(vector(rows)).queued) is Problem.DUPLICATE


def test_a_warning_makes_every_figure_a_lower_bound() -> None:
    load = load_of(vector(gateway_rows(), warnings=["a store did not answer"]))
    assert load.queued == AtLeast(5000, Problem.PARTIAL, "Prometheus warns: a store did not answer")


@pytest.mark.parametrize("others", [(), ("large",)])
def test_a_pool_that_nobody_reports_has_no_data(others: tuple[str, ...]) -> None:
    load = load_of(vector([one for pool in others for one in gateway_rows(pool=pool)]))
    assert (problem_of(load.queued), problem_of(load.in_flight)) == (Problem.MISSING, Problem.MISSING)


def test_foreign_rows_are_passed_over() -> None:
    foreign = [{"metric": {"job": "x"}, "value": [time.time(), "1"]}, row(Series.QUEUED, "9", autoglm_series="odd")]
    assert load_of(vector(gateway_rows() + foreign)) == Load(Fresh(5000), Fresh(7000))


def with_row(broken: Any) -> bytes:
    return vector([*gateway_rows(), broken])


BAD_REPLIES = [
    (b"", Problem.BAD_REPLY),
    (b"<html>login</html>", Problem.BAD_REPLY),
    (b"[]", Problem.BAD_REPLY),
    (b'{"status":"error","errorType":"timeout","error":"query timed out"}', Problem.BAD_REPLY),
    (b'{"status":"success"}', Problem.BAD_REPLY),
    (b'{"status":"success","data":{"resultType":"scalar","result":[1,"2"]}}', Problem.BAD_REPLY),
    (b'{"status":"success","data":{"resultType":"string","result":[1,"2"]}}', Problem.BAD_REPLY),
    (b'{"status":"success","data":{"resultType":"matrix","result":[]}}', Problem.BAD_REPLY),
    (b'{"status":"success","data":{"resultType":"vector","result":null}}', Problem.BAD_REPLY),
    (b"[" * 100_000, Problem.BAD_REPLY),
    (with_row(7), Problem.BAD_REPLY),
    (with_row({"value": [1, "2"]}), Problem.BAD_REPLY),
    (with_row({"metric": {**row(Series.UP, "1")["metric"], "instance": 5}, "value": [1, "2"]}), Problem.BAD_REPLY),
    (with_row({"metric": {"autoglm_series": []}, "value": [1, "2"]}), Problem.BAD_REPLY),
    (with_row({**row(Series.UP, "1"), "value": [time.time(), 5]}), Problem.BAD_REPLY),
    (with_row({**row(Series.UP, "1"), "value": []}), Problem.BAD_REPLY),
    (with_row({**row(Series.UP, "1"), "value": None, "histogram": [1, {}]}), Problem.BAD_REPLY),
    (with_row({**row(Series.UP, "1"), "value": [time.time() - 3600, "1"]}), Problem.CLOCK_SKEW),
    (with_row({**row(Series.UP, "1"), "value": [time.time() + 3600, "1"]}), Problem.CLOCK_SKEW),
]


@pytest.mark.parametrize(("body", "problem"), BAD_REPLIES)
def test_a_malformed_reply_is_refused_as_a_whole(body: bytes, problem: Problem) -> None:
    with pytest.raises(PrometheusError) as refused:
        parsed(body, time.time())
    assert refused.value.problem is problem


def test_the_query_covers_all_resources_at_once() -> None:
    assert len(gateway_load_query()) < 3000
