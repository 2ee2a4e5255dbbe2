"""Children of a resource on a real API server: created, owned, repaired, left alone, removed."""

from collections.abc import Iterator
from typing import Any

import pytest

from autoglm_api import names
from autoglm_localcluster.cluster import Cluster
from support.operators import REPAIR_SECONDS, OperatorProcess, World, namespace_of, service

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

READY_SECONDS = 30.0


@pytest.fixture(scope="module")
def ready(operator: OperatorProcess, crd: Cluster) -> Iterator[World]:
    """One ready resource for the whole module: every test leaves it as it was."""
    with namespace_of(crd) as namespace:
        world = World(crd, namespace)
        world.apply(service())
        world.until(world.is_ready, READY_SECONDS)
        yield world


def _revision(world: World, pool: str) -> str:
    return str(next(one["revision"] for one in world.status()["pools"] if one["name"] == pool))


def test_a_resource_gets_its_children(ready: World) -> None:
    light, large = (f"shop-{pool}-{_revision(ready, pool)}" for pool in ("light", "large"))
    gateway = {"ConfigMap", "Deployment", "PodDisruptionBudget", "Role", "RoleBinding", "Service", "ServiceAccount"}
    per_pool = {f"{kind}/{name}" for kind in ("ConfigMap", "Deployment", "Service") for name in (light, large)}
    budgets = {f"PodDisruptionBudget/shop-{pool}-workers" for pool in ("light", "large")}
    assert ready.children() == {f"{kind}/shop-gateway" for kind in gateway} | per_pool | budgets


def test_every_child_is_controlled_by_its_resource(ready: World) -> None:
    uid = (ready.get(f"{names.CRD_NAME}/shop") or {})["metadata"]["uid"]
    for kind_and_name in ready.children():
        owners = (ready.get(kind_and_name) or {})["metadata"]["ownerReferences"]
        assert [(one["uid"], one["controller"], one["blockOwnerDeletion"]) for one in owners] == [(uid, True, True)]


def test_nothing_carries_a_finalizer_or_an_annotation_of_the_watch_layer(ready: World) -> None:
    metadata = (ready.get(f"{names.CRD_NAME}/shop") or {})["metadata"]
    assert "finalizers" not in metadata
    assert not [key for key in metadata.get("annotations", {}) if "kopf" in key]


def test_the_endpoint_slices_tell_pool_and_revision(ready: World) -> None:
    slices = ready.find("endpointslices", f"{names.LABEL_POOL}=light")
    assert {one["metadata"]["labels"][names.LABEL_REVISION] for one in slices} == {_revision(ready, "light")}


def test_an_idle_operator_writes_nothing(ready: World, operator: OperatorProcess) -> None:
    ready.patch(f"{names.CRD_NAME}/shop", {"metadata": {"labels": {"touch": "1"}}})  # wakes it
    reconciles = operator.metric(names.METRIC_OPERATOR_RECONCILES)
    writes = operator.metric(names.METRIC_OPERATOR_WRITES)
    ready.patch(f"{names.CRD_NAME}/shop", {"metadata": {"labels": {"touch": "2"}}})
    ready.until(lambda: operator.metric(names.METRIC_OPERATOR_RECONCILES) > reconciles)
    assert operator.metric(names.METRIC_OPERATOR_WRITES) == writes


def test_each_deleted_child_comes_back(ready: World) -> None:
    before = ready.children()
    for child in sorted(before):
        ready.kubectl("delete", child, "--wait=true")
        ready.until(lambda: ready.children() == before, REPAIR_SECONDS)
    ready.until(ready.is_ready, READY_SECONDS)


_KEY = names.GATEWAY_CONFIG_KEY
_POD = ("spec", "template", "spec")
EDITS: list[tuple[str, Any, tuple[str, ...]]] = [
    ("ConfigMap", {"data": {_KEY: "{}"}}, ("data", _KEY)),
    ("Service", {"spec": {"selector": {names.LABEL_COMPONENT: "other"}}}, ("spec", "selector", names.LABEL_COMPONENT)),
    ("Service", {"spec": {"publishNotReadyAddresses": True, "selector": None}}, ("spec", "selector")),
    ("Service", {"spec": {"ports": [{"name": "http", "port": 81}]}}, ("spec", "ports")),
    ("Role", {"rules": []}, ("rules",)),
    ("RoleBinding", {"subjects": []}, ("subjects",)),
    ("PodDisruptionBudget", {"spec": {"maxUnavailable": 5}}, ("spec", "maxUnavailable")),
    ("ServiceAccount", {"automountServiceAccountToken": True}, ("automountServiceAccountToken",)),
    ("Deployment", {"spec": {"replicas": 3}}, ("spec", "replicas")),
    ("Deployment", {"spec": {"template": {"spec": {"enableServiceLinks": True}}}}, (*_POD, "enableServiceLinks")),
    (
        "Deployment",
        {"metadata": {"labels": {names.LABEL_POOL: None, names.LABEL_INSTANCE: "x"}}},
        ("metadata", "labels"),
    ),
    ("Deployment", {"metadata": {"labels": {names.LABEL_DEPLOYMENT: "x"}}}, ("metadata", "labels")),
]


def _field(world: World, child: str, path: tuple[str, ...]) -> Any:
    value: Any = world.get(child)
    for part in path:
        value = (value or {}).get(part)
    return value


def test_each_edited_child_is_repaired_and_foreign_fields_are_kept(ready: World) -> None:
    for kind, edit, path in EDITS:
        _edit_and_await_repair(ready, f"{kind}/shop-gateway", edit, path)
    assert any(event["reason"] == "Repaired" for event in ready.find("events.events.k8s.io", ""))


def _edit_and_await_repair(world: World, child: str, edit: Any, path: tuple[str, ...]) -> None:
    before = _field(world, child, path)
    world.patch(child, {"metadata": {"annotations": {"example.com/mine": "yes"}}})
    world.patch(child, edit)
    world.until(lambda: _field(world, child, path) == before, REPAIR_SECONDS)
    assert _field(world, child, ("metadata", "annotations"))["example.com/mine"] == "yes"


def test_a_foreign_object_with_a_childs_name_is_left_alone(world: World) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "shop-gateway"},
        "spec": {"ports": [{"port": 1}]},
    }
    world.apply(foreign)
    before = world.get("service/shop-gateway")
    world.apply(service())
    world.until(lambda: world.condition("Ready").get("reason") == "NameConflict")
    assert "Service shop-gateway" in world.condition("Ready")["message"]
    assert world.get("service/shop-gateway") == before
    world.kubectl("delete", "service/shop-gateway")
    world.until(world.is_ready, READY_SECONDS)


def test_two_resources_in_two_namespaces_do_not_touch_each_other(world: World) -> None:
    with namespace_of(world.cluster) as other_namespace:
        other = World(world.cluster, other_namespace)
        for one in (world, other):
            one.apply(service())
        for one in (world, other):
            one.until(one.is_ready, READY_SECONDS)
        other.kubectl("delete", names.CRD_NAME, "shop")
        other.until(lambda: not other.children(), READY_SECONDS)
        assert world.is_ready()
