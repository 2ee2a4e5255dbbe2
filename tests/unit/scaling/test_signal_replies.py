"""Replies about replicas, consumer groups and users' own queries: what is not a plain number is never 0."""

import json
from typing import Any

import pytest

from autoglm_api.spec import MemorySource, Signal, SignalType
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading
from autoglm_operator.shell.prometheus.kafka import lag_of, lag_query
from autoglm_operator.shell.prometheus.kinds import Part, query_of
from autoglm_operator.shell.prometheus.own import answer_of, meant
from autoglm_operator.shell.prometheus.replicas import reading_of
from autoglm_operator.shell.prometheus.reply import PrometheusError, Row, Sample
from autoglm_operator.shell.prometheus.wanted import Kind, wanted_by

NOW = 1_790_000_000.0
KV, FIRST = Kind.KV_CACHE, Kind.FIRST_TOKEN
FULL = {Part.WORKERS: "2", Part.REPORTING: "2", Part.VALID: "2", Part.VALUE: "80", Part.AGE: "3"}
TIMED = {Part.WORKERS: "2", Part.REPORTING: "2", Part.RATE: "1.5", Part.VALUE: "120", Part.QUEUE: "30", Part.AGE: "3"}


def of(kind: Kind, parts: dict[Part, str], current: int = 2) -> Reading:
    return reading_of(kind, {part: (value,) for part, value in parts.items()}, current=current, fresh_seconds=60)


def problem(reading: Reading) -> Problem | None:
    return None if isinstance(reading, Fresh) else reading.problem


@pytest.mark.parametrize(
    ("kind", "parts", "change", "expected"),
    [
        (KV, FULL, {}, Fresh(80_000)),
        (KV, FULL, {Part.VALUE: "NaN"}, Problem.NOT_A_NUMBER),
        (KV, FULL, {Part.VALUE: "100.5"}, Problem.OUT_OF_RANGE),
        (
            KV,
            FULL,
            {Part.VALID: "1"},
            AtLeast(80_000, Problem.OUT_OF_RANGE, "1 of 2 replicas report what is no percentage"),
        ),
        (KV, FULL, {Part.VALID: "0"}, Problem.OUT_OF_RANGE),
        (KV, FULL, {Part.REPORTING: "1", Part.VALID: "1"}, AtLeast(80_000, Problem.PARTIAL, "1 of 2 replicas report")),
        (KV, FULL, {Part.REPORTING: "0"}, Problem.MISSING),
        (KV, FULL, {Part.AGE: "61"}, Problem.STALE),
        (FIRST, TIMED, {}, Fresh(150_000)),
        (FIRST, TIMED, {Part.QUEUE: "NaN"}, Fresh(120_000)),
        (FIRST, TIMED, {Part.RATE: "0", Part.VALUE: "NaN"}, Fresh(0)),
        (FIRST, TIMED, {Part.RATE: "NaN"}, Problem.NOT_A_NUMBER),
        (FIRST, TIMED, {Part.VALUE: "NaN"}, Problem.NOT_A_NUMBER),
        (FIRST, TIMED, {Part.VALUE: "+Inf"}, Problem.OUT_OF_RANGE),
        (FIRST, TIMED, {Part.REPORTING: "1"}, AtLeast(150_000, Problem.PARTIAL, "1 of 2 replicas report")),
    ],
)
def test_the_parts_of_a_pool(
    kind: Kind, parts: dict[Part, str], change: dict[Part, str], expected: Reading | Problem
) -> None:
    reading = of(kind, parts | change)
    assert expected in (reading, problem(reading))


def test_missing_parts_and_doubles() -> None:
    assert problem(of(KV, {})) is Problem.MISSING
    assert problem(of(FIRST, {Part.WORKERS: "1", Part.REPORTING: "1"})) is Problem.MISSING
    assert of(KV, {}, current=0) == Fresh(0), "where nobody is, nothing is used"
    double = reading_of(KV, {Part.VALUE: ("1", "2")}, current=1, fresh_seconds=60)
    assert problem(double) is Problem.DUPLICATE


def lag(group: str, topic: str, total: str, least: str) -> list[Row]:
    labels = {"consumergroup": group, "topic": topic}
    parts = {"sum": total, "least": least}
    return [Row(labels | {"autoglm_series": part}, Sample(NOW, value)) for part, value in parts.items()]


ROWS = [*lag("a", "x", "40", "2"), *lag("a", "y", "2", "0"), *lag("b", "x", "9", "-1"), *lag("c", "x", "NaN", "NaN")]


@pytest.mark.parametrize(
    ("group", "topic", "expected"),
    [
        ("a", None, Fresh(42_000)),
        ("a", "y", Fresh(2000)),
        ("a", "z", Problem.MISSING),
        ("b", None, Problem.NEGATIVE),
        ("c", None, Problem.NOT_A_NUMBER),
        ("d", None, Problem.MISSING),
    ],
)
def test_the_lag_of_a_group(group: str, topic: str | None, expected: Reading | Problem) -> None:
    reading = lag_of(ROWS, group, topic)
    assert expected in (reading, problem(reading))


def test_a_group_is_asked_by_its_name_and_no_other() -> None:
    assert r'consumergroup=~"a\\.b|c"' in lag_query({"c", "a.b"})


def reply(result: Any, kind: str = "vector", status: str = "success") -> bytes:
    return json.dumps({"status": status, "data": {"resultType": kind, "result": result}}).encode()


def element(value: str, at: float = 0.0) -> dict[str, Any]:
    return {"metric": {}, "value": [NOW + at, value]}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (reply([element("4.5")]), Fresh(4500)),
        (reply([NOW, "3"], "scalar"), Fresh(3000)),
        (reply([]), Problem.MISSING),
        (reply([element("1"), element("2")]), Problem.DUPLICATE),
        (reply([element("NaN")]), Problem.NOT_A_NUMBER),
        (reply([element("+Inf")]), Problem.OUT_OF_RANGE),
        (reply([element("-2")]), Problem.NEGATIVE),
        (reply([element("")]), Problem.NOT_A_NUMBER),
    ],
)
def test_an_own_query_gives_one_number(body: bytes, expected: Reading | Problem) -> None:
    reading = answer_of(body, json.loads(body)["data"]["result"][0:1] and NOW)
    assert expected in (reading, problem(reading))


@pytest.mark.parametrize(
    "body",
    [
        reply([{"metric": {}, "values": []}], "matrix"),
        reply([{"metric": {}, "value": [1]}]),
        reply([3]),
        reply([NOW, "text"], "string"),
        reply([element("1", at=-3600)]),
        reply([element("1")], status="error"),
        b"<html>",
        b"[]",
        b'{"status":"success"}',
    ],
)
def test_what_is_no_answer_is_an_error(body: bytes) -> None:
    with pytest.raises(PrometheusError):
        answer_of(body, NOW)


def test_empty_is_zero_only_where_the_user_says_so() -> None:
    empty = answer_of(reply([]), NOW)
    assert meant(empty, empty_means_zero=True) == Fresh(0)
    assert meant(empty, empty_means_zero=False) == empty
    nan = NoData(Problem.NOT_A_NUMBER, "value 'NaN'")
    assert meant(nan, empty_means_zero=True) == nan, "no number is not empty"


def test_only_what_pools_follow_is_asked_and_once() -> None:
    own = Signal(type=SignalType.PROMETHEUS, target="1", query="up")
    memory = Signal(type=SignalType.GPU_MEMORY)
    wanted = wanted_by([own, own, memory, Signal(type=SignalType.KV_CACHE_USE), Signal(type=SignalType.TOKEN_DEMAND)])
    assert (set(wanted.queries), set(wanted.kinds), set(wanted.groups)) == ({"up"}, {Kind.KV_CACHE}, set())
    device = Signal(type=SignalType.GPU_MEMORY, source=MemorySource.DEVICE)
    assert set(wanted_by([device]).kinds) == {Kind.GPU_MEMORY}


@pytest.mark.parametrize("kind", list(Kind))
def test_a_query_does_not_grow_with_the_cluster(kind: Kind) -> None:
    assert 200 < len(query_of(kind)) < 4096
