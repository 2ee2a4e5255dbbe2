from typing import Any

from autoglm_api import names
from autoglm_gateway.balance import Address
from autoglm_gateway.endpoints import endpoints_of
from autoglm_gateway.fleet import Endpoints


def endpoint(host: str, **conditions: bool) -> dict[str, Any]:
    return {"addresses": [host], "conditions": conditions}


def piece(labels: dict[str, str], *endpoints: dict[str, Any], port: int | None = 8000) -> dict[str, Any]:
    ports = [] if port is None else [{"name": names.PORT_NAME_HTTP, "port": port}]
    return {"metadata": {"labels": labels}, "endpoints": list(endpoints), "ports": ports}


LIGHT = {names.LABEL_POOL: "light", names.LABEL_REVISION: "7f2a"}
GATEWAY = {names.LABEL_COMPONENT: names.COMPONENT_GATEWAY}


def test_ready_and_not_terminating_counts() -> None:
    found = endpoints_of(
        [
            piece(
                LIGHT,
                endpoint("10.0.0.1", ready=True),
                endpoint("10.0.0.2", ready=False),
                endpoint("10.0.0.3", ready=True, terminating=True),
                {"addresses": ["10.0.0.4"]},
            )
        ]
    )
    assert found == Endpoints({"light": {Address("10.0.0.1", 8000): "7f2a", Address("10.0.0.4", 8000): "7f2a"}})


def test_revisions_and_slices_of_a_pool_are_one_set() -> None:
    new = {names.LABEL_POOL: "light", names.LABEL_REVISION: "9c11"}
    found = endpoints_of([piece(LIGHT, endpoint("10.0.0.1")), piece(new, endpoint("10.0.0.2"), port=9000)])
    assert found.replicas == {"light": {Address("10.0.0.1", 8000): "7f2a", Address("10.0.0.2", 9000): "9c11"}}


def test_gateways_are_counted_and_are_at_least_one() -> None:
    assert endpoints_of([piece(GATEWAY, endpoint("10.0.0.8"), endpoint("10.0.0.9"))]).gateways == 2
    assert endpoints_of([piece(GATEWAY, endpoint("10.0.0.8", ready=False))]).gateways == 1


def test_odd_slices_are_harmless() -> None:
    empty: list[dict[str, Any]] = [
        {"metadata": {}},
        {"metadata": {"labels": None}, "endpoints": None},
        piece({"other": "1"}, endpoint("10.0.0.1")),
    ]
    assert endpoints_of(empty) == Endpoints({}, 1)
    assert endpoints_of([piece(LIGHT, endpoint("10.0.0.1"), port=None)]).replicas == {
        "light": {Address("10.0.0.1", names.WORKER_PORT): "7f2a"}
    }
