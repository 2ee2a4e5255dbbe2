"""Two writers of one size on a real API server: the operator reports the other one and steps back."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from autoglm_api import names
from autoglm_localcluster.cluster import Cluster
from support.external import AGPS, autoscaler, condition, in_mode, pool, settled, sizes
from support.operators import World, await_kind

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

SECONDS = 30.0
HPA_SECONDS = 60.0
_KEDA = "scaledobjects.keda.sh"


def _worker(world: World) -> str:
    return str(world.workers("light")[0]["metadata"]["name"])


def _conflict(world: World) -> str:
    found = condition(world, "ScalingConflict")
    return str(found["message"]) if found.get("status") == "True" else ""


def _started(world: World, mode: str) -> str:
    world.apply(in_mode(mode))
    world.until(lambda: settled(world, 1), SECONDS)
    return _worker(world)


@pytest.mark.parametrize("mode", ["Internal", "External"])
def test_an_hpa_on_a_worker_deployment_is_reported_and_not_fought(world: World, mode: str) -> None:
    worker = _started(world, mode)
    world.apply(autoscaler("Deployment", worker, smallest=3))
    world.until(lambda: f"HorizontalPodAutoscaler theirs scales Deployment {worker}" in _conflict(world), 3.0)
    assert condition(world, "ScalingActive")["reason"] == "ScalingConflict"
    world.until(lambda: settled(world, 3), HPA_SECONDS)
    world.kubectl("delete", "hpa", "theirs")
    world.until(lambda: not _conflict(world), 3.0)
    assert condition(world, "ScalingConflict")["reason"] == "NoConflict"
    world.until(lambda: settled(world, 3 if mode == "Internal" else 1), SECONDS)
    notes = [one["note"] for one in world.find("events.events.k8s.io", "") if one["reason"] == "ScalingConflict"]
    assert any("HorizontalPodAutoscaler theirs" in note for note in notes)


def test_an_hpa_on_the_pool_scale_of_a_pool_that_decides_itself_is_a_conflict(world: World) -> None:
    _started(world, "Internal")
    world.apply(autoscaler(names.SCALE_KIND, "shop-light", smallest=1))
    world.until(lambda: "scales AutoGLMPoolScale shop-light: remove it, or set scaling.mode" in _conflict(world), 3.0)
    world.apply(in_mode("External"))
    world.until(lambda: world.get(AGPS) is not None and not _conflict(world), SECONDS)


def test_somebody_else_s_autoscaler_is_none_of_our_business(world: World) -> None:
    worker = _started(world, "Internal")
    world.apply(autoscaler("Deployment", f"{worker}-other", smallest=2))
    world.patch(f"{names.CRD_NAME}/shop", {"spec": {"queue": {"maxQueries": 77}}})
    world.until(world.is_ready, SECONDS)
    assert not _conflict(world)


@pytest.fixture
def keda(world: World) -> Iterator[Cluster]:
    """KEDA's kind without KEDA: what the operator reads of it."""
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": _KEDA},
        "spec": {
            "group": "keda.sh",
            "scope": "Namespaced",
            "names": {"kind": "ScaledObject", "plural": "scaledobjects", "singular": "scaledobject"},
            "versions": [{"name": "v1alpha1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}],
        },
    }
    world.apply(definition)
    await_kind(world.cluster, _KEDA)
    yield world.cluster
    world.kubectl("delete", "crd", _KEDA)


@pytest.mark.usefixtures("keda")
def test_a_scaled_object_of_keda_is_reported_by_its_name(world: World) -> None:
    worker = _started(world, "Internal")
    scaled: dict[str, Any] = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "metadata": {"name": "k"}}
    world.apply({**scaled, "spec": {"scaleTargetRef": {"name": worker}, "triggers": []}})
    # KEDA answers it with an HPA of its own, whose coming is what wakes the operator.
    world.apply(autoscaler("Deployment", worker, smallest=1))
    world.until(lambda: f"ScaledObject k scales Deployment {worker}" in _conflict(world), 3.0)


def test_advice_leaves_the_size_to_whoever_sets_it(world: World) -> None:
    worker = _started(world, "Advisory")
    assert condition(world, "ScalingActive")["reason"] == "Advisory"
    world.kubectl("scale", f"deployment/{worker}", "--replicas=6")  # even beyond maxReplicas
    world.until(lambda: settled(world, 6), SECONDS)
    assert not _conflict(world)
    drain = {"op": "replace", "path": "/spec/pools/0/drainSeconds", "value": 2}
    world.patch(f"{names.CRD_NAME}/shop", [drain], "json")
    world.until(lambda: settled(world, 6) and _worker(world) != worker, SECONDS)


def test_a_writer_that_does_not_give_up_is_reported_instead_of_fought(world: World) -> None:
    world.apply(in_mode("Internal", smallest=2))
    world.until(lambda: settled(world, 2), SECONDS)
    scale = ("scale", f"deployment/{_worker(world)}", "--replicas=1")
    for _ in range(2):
        world.kubectl(*scale)
        world.until(lambda: sizes(world) == [2], 5.0)  # undone
    world.kubectl(*scale)
    world.until(lambda: 'field manager "kubectl" keeps changing the replicas' in _conflict(world), 5.0)
    time.sleep(3.0)
    assert sizes(world) == [1]
    assert pool(world)["desiredReplicas"] == 1
