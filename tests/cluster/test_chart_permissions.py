"""The chart grants what a working operator asks the API server for, and nothing else: told by the audit log."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from autoglm_api import names
from autoglm_localcluster.cluster import Cluster
from support.helm import of_kind, rendered
from support.operators import USER, OperatorProcess, World, namespace_of, service

pytestmark = pytest.mark.cluster

Permission = tuple[str, str, str]  # API group, resource, verb

# Held so that they can be granted to gateways, asked for by an admission plugin that is off here, for news that repeats
# itself, to mark the idlest of replicas that tell their load (test_operator_sizes), or to see what room GPU nodes have
# (test_operator_room).
NOT_ASKED_HERE: frozenset[Permission] = frozenset(
    {
        ("events.k8s.io", "events", "patch"),
        ("", "configmaps", "get"),
        ("", "configmaps", "watch"),
        ("", "pods", "patch"),
        ("", "nodes", "list"),
        *(("discovery.k8s.io", "endpointslices", verb) for verb in ("get", "list", "watch")),
        (names.GROUP, f"{names.PLURAL}/finalizers", "update"),
    }
)


@pytest.fixture(scope="module")
def asked(operator: OperatorProcess, crd: Cluster) -> Iterator[set[Permission]]:
    """What the operator asked for while a resource was created, repaired, rolled out and deleted."""
    with namespace_of(crd) as namespace:
        world = World(crd, namespace)
        manifest = service(light=2)
        manifest["spec"]["pools"].append(_third(manifest["spec"]["pools"][0]))
        world.apply(manifest)
        world.until(world.is_ready, 40)
        world.until(lambda: "status" in (world.get(f"{names.SCALE_CRD_NAME}/shop-third") or {}), 40)
        world.patch(f"{names.CRD_NAME}/shop", [{"op": "remove", "path": "/spec/pools/2"}], "json")
        world.until(lambda: not world.workers("third"), 40)
        for kind in ("service", "configmap", "role", "rolebinding", "serviceaccount", "poddisruptionbudget"):
            world.kubectl("delete", kind, names.gateway_name("shop"))
        world.until(lambda: world.get(f"serviceaccount/{names.gateway_name('shop')}"))
        drain = {"op": "replace", "path": "/spec/pools/0/drainSeconds", "value": 2}
        world.patch(f"{names.CRD_NAME}/shop", [drain], "json")
        world.until(lambda: len(world.workers("light")) == 2, 40)
        world.until(lambda: len(world.workers("light")) == 1, 40)
        world.until(world.is_ready, 40)
        yield set(_asked(crd))


def _third(pool: dict[str, Any]) -> dict[str, Any]:
    scaling = {**pool["scaling"], "mode": "External"}
    return {**pool, "name": "third", "model": {**pool["model"], "name": "third-model"}, "scaling": scaling}


def _asked(cluster: Cluster) -> Iterator[Permission]:
    for line in cluster.audit_log.read_text().splitlines():
        event = json.loads(line)
        if event["user"]["username"] == USER and "objectRef" in event:
            yield from _permissions(event["verb"], event["objectRef"])


def _permissions(verb: str, target: dict[str, str]) -> Iterator[Permission]:
    below = f"/{target['subresource']}" if "subresource" in target else ""
    yield target.get("apiGroup", ""), target["resource"] + below, verb
    if verb == "patch" and not below and target["resource"] not in ("events", "pods"):
        yield target.get("apiGroup", ""), target["resource"], "create"  # a server-side apply that creates needs both


def _granted() -> set[Permission]:
    role = next(one for one in of_kind(rendered(), "ClusterRole") if one["metadata"]["name"] == "autoglm")
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_everything_that_is_asked_for_is_granted(asked: set[Permission]) -> None:
    assert sorted(asked - _granted()) == []


def test_nothing_is_granted_that_is_not_needed(asked: set[Permission]) -> None:
    assert sorted(_granted() - asked - NOT_ASKED_HERE) == []
