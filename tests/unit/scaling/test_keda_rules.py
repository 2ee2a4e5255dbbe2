"""Cases of keda's prometheus_scaler_test.go and fallback_test.go in spirit, and what its code says beyond them."""

import json
from typing import Any

import pytest

from autoglm_operator.scaling import keda
from autoglm_operator.scaling.hpa import AverageValue, Fleet
from autoglm_operator.scaling.keda import Behavior, Failed, Fallback, Nil, Served, TargetType, Trigger, Workload
from support.scaling_times import at


def vector(*pairs: Any) -> bytes:
    result = [{"metric": {}, "value": pair} for pair in pairs]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


NULLS = [vector(), vector([]), vector(None), vector([1, "NaN"]), vector([1, "+Inf"]), vector([1, "-Inf"])]
NULLS += [b'{"status":"error","error":"timeout"}', b"null", b'{"data":{"result":null}}', b"{}"]


@pytest.mark.parametrize("body", NULLS)
def test_null_values_are_zero_by_default_and_an_error_if_told_so(body: bytes) -> None:
    assert keda.value_of(200, body) == 0.0
    with pytest.raises(keda.ReplyError):
        keda.value_of(200, body, ignore_null_values=False)


VALUES = [("5", 5.0), ("0", 0.0), ("-3.5", -3.5), ("1e3", 1000.0), ("+.5", 0.5), ("5.", 5.0), (None, -1.0)]


@pytest.mark.parametrize("ignore", [True, False])
@pytest.mark.parametrize(("text", "value"), VALUES)
def test_a_number_is_itself(text: str | None, value: float, *, ignore: bool) -> None:
    assert keda.value_of(204, vector([1, text]), ignore_null_values=ignore) == value


BROKEN = [
    (500, vector([1, "5"])),
    (301, vector([1, "5"])),
    (199, vector([1, "5"])),
    (200, b""),
    (200, b"<html>"),
    (200, b"[]"),
    (200, b'{"data":{"resultType":"scalar","result":[1,"2"]}}'),
    (200, b'{"data":[]}'),
    (200, vector([1, "5"], [1, "6"])),
    (200, vector([], [])),
    (200, vector([1])),
    (200, vector([1, "many"])),
    (200, vector([1, ""])),
    (200, vector([1, "1_000"])),
    (200, vector([1, " 5"])),
    (200, vector([1, "1e999"])),
    (200, vector([1, 5])),
    (200, vector({"a": 1})),
]


@pytest.mark.parametrize(("status", "body"), BROKEN)
def test_anything_else_is_an_error(status: int, body: bytes) -> None:
    with pytest.raises(keda.ReplyError):
        keda.value_of(status, body)


@pytest.mark.parametrize(
    ("value", "threshold", "active"), [(0, 0, False), (0.001, 0, True), (5, 5, False), (-1, 0, False)]
)
def test_activation_is_strict(value: float, threshold: float, *, active: bool) -> None:
    assert keda.is_active(value, threshold) is active


@pytest.mark.parametrize(("value", "milli"), [(1.2345, 1234), (-1.2345, -1234), (0.0009, 0), (7, 7000)])
def test_the_metric_is_cut_to_thousandths(value: float, milli: int) -> None:
    assert keda.metric_milli(value) == milli


TEN = Trigger(10_000)
AS_VALUE = Trigger(10_000, TargetType.VALUE)
WORKLOAD = Workload(replicas=4, ready=2)
FALLBACKS = [
    # failures before, trigger, fallback -> served, failures afterwards
    (0, TEN, None, Failed(), 0),
    (9, TEN, Fallback(-1, 6), Failed(), 9),
    (0, TEN, Fallback(3, -1), Failed(), 0),
    (2, TEN, Fallback(3, 6), Failed(), 3),
    (3, TEN, Fallback(3, 6), Served(60_000, is_fallback=True), 4),
    (0, TEN, Fallback(0, 6), Served(60_000, is_fallback=True), 1),
    (3, TEN, Fallback(3, 6, Behavior.CURRENT_REPLICAS), Served(40_000, is_fallback=True), 4),
    (3, TEN, Fallback(3, 6, Behavior.CURRENT_REPLICAS_IF_HIGHER), Served(60_000, is_fallback=True), 4),
    (3, TEN, Fallback(3, 2, Behavior.CURRENT_REPLICAS_IF_HIGHER), Served(40_000, is_fallback=True), 4),
    (3, TEN, Fallback(3, 6, Behavior.CURRENT_REPLICAS_IF_LOWER), Served(40_000, is_fallback=True), 4),
    (3, TEN, Fallback(3, 2, Behavior.CURRENT_REPLICAS_IF_LOWER), Served(20_000, is_fallback=True), 4),
    (2, TEN, Fallback(3, 6, Behavior.SCALING_MODIFIERS), Failed(), 3),
    (3, TEN, Fallback(3, 6, Behavior.SCALING_MODIFIERS), Nil(), 4),
    (3, AS_VALUE, Fallback(3, 6), Served(30_000, is_fallback=True), 4),
    (3, Trigger(5), Fallback(3, 0), Served(0, is_fallback=True), 4),
]


@pytest.mark.parametrize(("before", "trigger", "fallback", "outcome", "after"), FALLBACKS)
def test_what_is_served_after_failures(
    before: int, trigger: Trigger, fallback: Fallback | None, outcome: keda.Outcome, after: int
) -> None:
    assert keda.with_fallback(None, before, trigger, fallback, WORKLOAD) == (outcome, after)


def test_a_success_starts_the_count_anew() -> None:
    assert keda.with_fallback(7, 9, TEN, Fallback(3, 6), WORKLOAD) == (Served(7), 0)
    assert keda.with_fallback(7, 9, TEN, None, WORKLOAD) == (Served(7), 9)


def test_a_value_without_ready_replicas_cannot_fall_back() -> None:
    assert keda.with_fallback(None, 9, AS_VALUE, Fallback(3, 6), Workload(4, 0)) == (Failed(), 10)


def test_the_hpa_keeps_the_fallback_size() -> None:
    outcome, _ = keda.with_fallback(None, 3, TEN, Fallback(3, 6), WORKLOAD)
    assert isinstance(outcome, Served)
    assert AverageValue(10_000, [outcome.milli]).proposal(Fleet(4, 4, (), at(0))) == 6
