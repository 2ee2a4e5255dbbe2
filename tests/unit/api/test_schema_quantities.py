"""Quantities, names within Kubernetes' limits, and parsing of specs."""

import re
from typing import Any

import pytest
from pydantic import ValidationError

from autoglm_api import names
from autoglm_api.schema import milli_units
from autoglm_api.spec import Backend, Spec, parse_spec
from autoglm_api.status import CONDITION_REASON_PATTERN, Reason
from support.manifests import changed, two_pools


@pytest.mark.parametrize(
    ("quantity", "milli"),
    [
        (0, 0),
        (4, 4000),
        ("4", 4000),
        ("1.5", 1500),
        ("500m", 500),
        ("0.5m", 1),  # rounded up, as Kubernetes does
        ("2k", 2_000_000),
        ("1Ki", 1_024_000),
        ("1.5Gi", 1_610_612_736_000),
        ("3T", 3_000_000_000_000_000),
    ],
)
def test_a_quantity_in_thousandths(quantity: int | str, milli: int) -> None:
    assert milli_units(quantity) == milli


@pytest.mark.parametrize("text", ["", "m", "four", "1e", "1,5", "Infinity", "NaN"])
def test_a_text_that_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="is no quantity"):
        milli_units(text)


@pytest.mark.parametrize("deployment", ["a", "shop-assistant", "s" * 50, "-".join(["part"] * 10)])
@pytest.mark.parametrize("pool", ["p", "light-next", "p" * 20])
def test_object_names_fit_and_keep_the_revision(deployment: str, pool: str) -> None:
    made = names.revision_name(deployment, pool, "7f2a91c3")
    assert len(made) <= 63
    assert made.endswith("-7f2a91c3")
    assert len(names.pool_budget_name(deployment, pool)) <= 63
    assert len(names.gateway_name(deployment)) <= 63


def test_long_names_that_differ_at_the_end_stay_different() -> None:
    first, second = (names.bounded_name("d" * 60, end) for end in ("light", "large"))
    assert first != second
    assert names.revision_name("d" * 50, "p" * 19 + "a", "0" * 8) != names.revision_name(
        "d" * 50, "p" * 19 + "b", "0" * 8
    )


def test_a_cut_name_does_not_end_in_a_dash() -> None:
    assert "--" not in names.bounded_name("d" * 53 + "-" + "e" * 20)


def _spec(path: str = "metadata.name", value: Any = "shop") -> Spec:
    return parse_spec(changed(two_pools(), path, value)["spec"])


def test_defaults_of_a_parsed_spec() -> None:
    pool = _spec().pool("light")
    assert (pool.engine.backend, pool.engine.gpus_per_replica) == (Backend.ONNX_RUNTIME, 0)
    assert (pool.scaling.min_replicas, pool.scaling.max_replicas) == (1, 1)
    assert [signal.type.value for signal in pool.scaling.signals] == ["TokenDemand", "Concurrency"]


def test_a_spec_survives_a_round_trip() -> None:
    spec = _spec(
        "spec.light.scaling.behavior", {"scaleUp": {"policies": [{"type": "Pods", "value": 1, "periodSeconds": 5}]}}
    )
    assert parse_spec(spec.to_json()) == spec


def test_an_unknown_pool_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="medium"):
        _spec().pool("medium")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.light.replicas", 3),
        ("spec.light.scaling", {"minReplicas": 3, "maxReplicas": 2}),
        ("spec.light.scaling", {"signals": [{"type": "Concurrency", "target": 0}]}),
        ("spec.light.scaling", {"signals": [{"type": "Concurrency", "target": "0m"}]}),
        ("spec.light.model.uri", "https://models/light"),
        ("spec.pools", []),
    ],
)
def test_the_parser_refuses_what_the_schema_refuses(path: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        _spec(path, value)


@pytest.mark.parametrize("reason", list(Reason))
def test_reasons_fit_kubernetes_conditions(reason: Reason) -> None:
    assert re.fullmatch(CONDITION_REASON_PATTERN, reason.value)
