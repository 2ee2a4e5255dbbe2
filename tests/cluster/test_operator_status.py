"""The truth in status: what is wrong is named, what is right is Ready, and nobody waits for a cause."""

from typing import Any

import pytest

from autoglm_api import names
from support.manifests import changed
from support.operators import World, service

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

READY_SECONDS = 30.0


def _failing(failure: str) -> dict[str, Any]:
    return changed(service(), "spec.large.template.annotations", {names.ANNOTATION_FAKE_FAILURE: failure})


@pytest.mark.parametrize(
    ("failure", "reason", "words"),
    [
        ("image", "ImagePullFailed", "ImagePullBackOff: Back-off pulling image autoglm/node:dev"),
        ("crash", "CrashLoop", "exit code 1, 3 restarts"),
        ("oom", "OutOfMemory", "OOMKilled"),
    ],
)
def test_a_broken_pool_is_named_with_its_reason(world: World, failure: str, reason: str, words: str) -> None:
    world.apply(_failing(failure))
    world.until(lambda: world.condition("Degraded").get("reason") == reason, READY_SECONDS)
    world.until(lambda: "no ready replica serves Complex (" in world.condition("Ready").get("message", ""))
    ready = world.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "PoolNotReady")
    assert words in ready["message"]


def test_a_pod_that_fits_nowhere_is_unschedulable(world: World) -> None:
    world.apply(changed(service(), "spec.large.template.nodeSelector", {"zone": "moon"}))
    world.until(lambda: world.condition("Degraded").get("reason") == "Unschedulable", READY_SECONDS)
    assert "pool large: 1 of 1 replicas" in world.condition("Degraded")["message"]


def test_a_quota_is_quoted_and_its_end_is_noticed(world: World) -> None:
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": {"pods": "1"}}}
    world.apply(quota, service())
    world.until(lambda: world.condition("Degraded").get("reason") == "QuotaExceeded", READY_SECONDS)
    assert "exceeded quota: few" in world.condition("Degraded")["message"]
    world.kubectl("delete", "resourcequota", "few")
    # The ReplicaSet controller backs off by itself; a change makes it look again.
    world.until(world.is_ready, 60)


def test_a_refused_child_is_quoted_and_does_not_stop_the_others(world: World) -> None:
    hard = {"count/services": "0"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": hard}}
    world.apply(quota)
    world.until(lambda: "used" in (world.get("resourcequota/none") or {}).get("status", {}))
    world.apply(service())
    world.until(lambda: world.condition("Degraded").get("reason") == "APIRefused", READY_SECONDS)
    assert "exceeded quota: none" in world.condition("Degraded")["message"]
    assert len(world.find("deployments")) == 3
    world.kubectl("delete", "resourcequota", "none")
    world.until(world.is_ready, READY_SECONDS)


def test_counts_and_address_are_reported(world: World) -> None:
    world.apply(service(light=2, gateways=2))
    world.until(world.is_ready, READY_SECONDS)
    status = world.status()
    assert (status["light"], status["large"]) == ("2/2", "1/1")
    assert status["url"] == f"http://shop-gateway.{world.namespace}.svc"
    pool = status["pools"][0]
    assert (pool["replicas"], pool["readyReplicas"], pool["desiredReplicas"]) == (2, 2, 2)


def test_ready_falls_with_the_last_replica_of_a_class(world: World) -> None:
    world.apply(service())
    world.until(world.is_ready, READY_SECONDS)
    transition = world.condition("Ready")["lastTransitionTime"]
    pod = world.pods("large")[0]["metadata"]["name"]
    world.patch(f"pod/{pod}", {"metadata": {"annotations": {names.ANNOTATION_FAKE_FAILURE: "crash"}}})
    world.until(lambda: world.condition("Ready").get("status") == "False")
    assert world.condition("Ready")["lastTransitionTime"] >= transition
    warnings = [one for one in world.find("events.events.k8s.io", "") if one["type"] == "Warning"]
    assert any(one["regarding"]["kind"] == names.KIND and one["reason"] == "PoolNotReady" for one in warnings)


def test_paused_means_hands_off_but_still_told(world: World) -> None:
    world.apply(service())
    world.until(world.is_ready, READY_SECONDS)
    world.patch(f"{names.CRD_NAME}/shop", {"spec": {"paused": True}})
    world.until(lambda: world.condition("Paused").get("status") == "True")
    world.kubectl("delete", "service", "shop-gateway")
    world.kubectl("delete", "deployment", "shop-gateway")
    world.until(lambda: world.condition("GatewayReady").get("status") == "False")
    assert "Service/shop-gateway" not in world.children()
    world.patch(f"{names.CRD_NAME}/shop", {"spec": {"paused": False}})
    world.until(world.is_ready, READY_SECONDS)
