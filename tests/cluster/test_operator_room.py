"""What limits a pool's size is seen and named: nodes with GPUs, and a quota; real API server, scheduler, Prometheus."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest
import yaml

from autoglm_api import names
from autoglm_localcluster.fakenodes import node_manifest
from autoglm_operator.scaling.state import NO_ROOM_AFTER_SECONDS
from support.operators import World, running_operator, service
from support.prometheus import Exporter, Prometheus
from support.shop_load import exporter, load, prometheus

__all__ = ["exporter", "prometheus"]

pytestmark = pytest.mark.cluster

SECONDS = 60.0
GROUP = "karpenter.sh/nodepool"
_NUMBERS = count(80)


@pytest.fixture
def group(world: World) -> Iterator[str]:
    """Two nodes of four GPUs each, in a group of the test's own."""
    # Never the same nodes twice: pods of the test before may still be bound to those.
    name, numbers = f"a100-{world.namespace}", (next(_NUMBERS), next(_NUMBERS))
    nodes: list[dict[str, Any]] = [node_manifest(number, gpus=4) for number in numbers]
    for node in nodes:
        node["metadata"]["labels"][GROUP] = name
    world.cluster.apply(yaml.safe_dump_all(nodes))
    called = [f"node/{node['metadata']['name']}" for node in nodes]
    # A pool that finds no node that is ready asks for a whole one at once, and keeps it for the scaleDown window.
    world.cluster.kubectl("wait", "--for=condition=Ready", "--timeout=60s", *called)
    yield name
    world.cluster.kubectl("delete", "--wait=false", *called)


def _on(group: str, most: int, **scaling: Any) -> dict[str, Any]:
    """Return a deployment whose light pool takes a GPU per replica on the nodes of a group."""
    manifest = service()
    light = manifest["spec"]["pools"][0]
    fast = {"policies": [{"type": "Pods", "value": 100, "periodSeconds": 1}], "stabilizationWindowSeconds": 0}
    light["engine"] = {"backend": "TensorRTLLM", "gpusPerReplica": 1}
    light["model"] |= {"uri": "pvc://models/light"}
    light["template"] = {**light["template"], "nodeSelector": {GROUP: group}}
    signals = [{"type": "Concurrency", "target": "4"}]
    light["scaling"] = {
        "minReplicas": 1,
        "maxReplicas": most,
        "signals": signals,
        "behavior": {"scaleUp": fast},
        **scaling,
    }
    return manifest


def _claim(world: World) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a volume with a claim for it: the control plane has no storage, but it binds them."""
    access = {"accessModes": ["ReadOnlyMany"], "storageClassName": ""}
    claim = {"namespace": world.namespace, "name": "models"}
    volume = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"models-{world.namespace}"},
        "spec": {**access, "capacity": {"storage": "1Gi"}, "hostPath": {"path": "/models"}, "claimRef": claim},
    }
    resources = {"requests": {"storage": "1Gi"}}
    spec = {**access, "resources": resources, "volumeName": f"models-{world.namespace}"}
    return volume, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "models"}, "spec": spec}


def _apply(world: World, manifest: dict[str, Any]) -> None:
    volume, claim = _claim(world)
    world.cluster.apply(yaml.safe_dump(volume))
    world.apply(claim, manifest)


def _pool(world: World) -> dict[str, Any]:
    return next((pool for pool in world.status().get("pools", []) if pool["name"] == "light"), {})


def _decided(world: World) -> list[tuple[str, int, str]]:
    """Return reason, size and source of what was decided for the pool, as the operator's journal has it."""
    found = world.get(f"configmap/{names.scaling_state_name('shop')}") or {}
    journal = json.loads((found.get("data") or {}).get(names.SCALING_JOURNAL_KEY, "[]"))
    light = [entry["decision"] for entry in journal if entry["pool"] == "light"]
    return [(one["reason"], one["replicas"], one["signals"][0]["source"]) for one in light if one.get("signals")]


def _sizes(world: World) -> tuple[int, int]:
    return _pool(world).get("desiredReplicas", 0), _pool(world).get("readyReplicas", 0)


def _limited(world: World) -> dict[str, Any]:
    conditions = _pool(world).get("conditions", [])
    return next((one for one in conditions if one["type"] == "ScalingLimited"), {})


def _longest_wait(world: World) -> float:
    """Return for how many seconds the first of the light pool's pods has waited for a node."""
    conditions = [one for pod in world.pods("light") for one in pod["status"].get("conditions", [])]
    since = [
        datetime.fromisoformat(one["lastTransitionTime"])
        for one in conditions
        if one["type"] == "PodScheduled" and one["status"] == "False"
    ]
    return max((datetime.now(UTC) - time).total_seconds() for time in since) if since else 0.0


def test_a_pool_stops_asking_when_its_nodes_are_full_and_names_the_group(
    world: World, group: str, exporter: Exporter, prometheus: Prometheus
) -> None:
    settings = {names.ENV_PROMETHEUS_URL: prometheus.url, names.ENV_SCALING_INTERVAL: "1"}
    with running_operator(world.cluster, **settings):
        _apply(world, _on(group, most=20))
        world.until(lambda: _sizes(world) == (1, 1), SECONDS)
        exporter.text = load(light=40)
        world.until(lambda: _sizes(world) == (10, 8), SECONDS)
        world.until(lambda: _longest_wait(world) > NO_ROOM_AFTER_SECONDS + 2, 2 * SECONDS)
        exporter.text = load(light=72)
        world.until(lambda: _limited(world).get("reason") == "InsufficientGPU", SECONDS)
        assert "add nodes that the pool's nodeSelector and tolerations allow" in _limited(world)["message"]
        assert f"node group {group}: 0 of 8 GPUs free on 2 nodes" in _pool(world)["lastDecision"]["message"]
        assert _sizes(world) == (10, 8)


def test_a_pool_of_whole_nodes_fills_the_node_that_it_needs(
    world: World, group: str, exporter: Exporter, prometheus: Prometheus
) -> None:
    settings = {names.ENV_PROMETHEUS_URL: prometheus.url, names.ENV_SCALING_INTERVAL: "1"}
    with running_operator(world.cluster, **settings):
        _apply(world, _on(group, most=20, granularity="Node"))
        world.until(lambda: _sizes(world) == (1, 1), SECONDS)
        exporter.text = load(light=12)
        world.until(lambda: _sizes(world) == (3, 3), SECONDS)  # fits on what is there
        exporter.text = load(light=36)
        world.until(lambda: _sizes(world) == (12, 8), SECONDS)  # nine need a third node, which holds four
        # The last decision may be a later one already, that holds the size while replicas start.
        world.until(lambda: ("WholeNodes", 12, "Prometheus") in _decided(world), SECONDS)
