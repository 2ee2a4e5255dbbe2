"""Mode External on a real API server: kubectl and a real HPA write the size, the operator carries it out."""

from typing import Any

import pytest

from autoglm_api import names
from support.operators import World, service

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

SECONDS = 30.0
HPA_SECONDS = 75.0  # its controller looks every 15 s, and learns of a new kind within 30 s
AGPS = f"{names.SCALE_SHORT_NAME}/shop-light"


def external(mode: str = "External", smallest: int = 1) -> dict[str, Any]:
    manifest = service()
    manifest["spec"]["pools"][0]["scaling"] = {"mode": mode, "minReplicas": smallest, "maxReplicas": 4}
    return manifest


def autoscaler(kind: str, name: str, smallest: int) -> dict[str, Any]:
    api_version = names.API_VERSION if kind == names.SCALE_KIND else "apps/v1"
    metric = {
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 1}},
    }
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "theirs"},
        "spec": {
            "scaleTargetRef": {"apiVersion": api_version, "kind": kind, "name": name},
            "minReplicas": smallest,
            "maxReplicas": 9,
            "metrics": [metric],
        },
    }


def pool(world: World) -> dict[str, Any]:
    return next((one for one in world.status().get("pools", []) if one["name"] == "light"), {})


def condition(world: World, kind: str) -> dict[str, Any]:
    return next((one for one in pool(world).get("conditions", []) if one["type"] == kind), {})


def sizes(world: World) -> list[int]:
    return [one["spec"]["replicas"] for one in world.workers("light")]


def asked(world: World) -> int | None:
    return ((world.get(AGPS) or {}).get("spec") or {}).get("replicas")


def settled(world: World, size: int) -> bool:
    return sizes(world) == [size] and pool(world).get("readyReplicas") == size == pool(world).get("desiredReplicas")


def test_kubectl_scale_decides_within_the_bounds(world: World) -> None:
    world.apply(external())
    world.until(lambda: settled(world, 1) and asked(world) == 1, SECONDS)
    world.kubectl("scale", AGPS, "--replicas=3")
    world.until(lambda: sizes(world) == [3], 2.0)
    world.until(lambda: settled(world, 3), SECONDS)
    assert pool(world)["lastDecision"]["reason"] == "External"
    assert condition(world, "ScalingLimited")["status"] == "False"
    world.kubectl("scale", AGPS, "--replicas=50")
    world.until(lambda: settled(world, 4), SECONDS)
    assert condition(world, "ScalingLimited")["reason"] == "TooManyReplicas"
    assert asked(world) == 50
    world.kubectl("scale", AGPS, "--replicas=0")
    world.until(lambda: settled(world, 1), SECONDS)
    assert condition(world, "ScalingLimited")["reason"] == "TooFewReplicas"


def test_it_reports_pods_and_their_selector(world: World) -> None:
    world.apply(external(smallest=2))
    world.until(lambda: settled(world, 2), SECONDS)
    world.until(lambda: (world.get(AGPS) or {}).get("status", {}).get("replicas") == 2, SECONDS)
    selector = (world.get(AGPS) or {})["status"]["selector"]
    assert {pod["metadata"]["name"] for pod in world.find("pods", selector)} == {
        pod["metadata"]["name"] for pod in world.pods("light")
    }
    row = world.kubectl("get", AGPS, "--no-headers").split()
    assert row[:5] == ["shop-light", "shop", "light", "2", "2"]


def test_a_pool_may_be_put_to_sleep_and_woken(world: World) -> None:
    world.apply(external(smallest=0))
    world.until(lambda: asked(world) is not None, SECONDS)
    world.kubectl("scale", AGPS, "--replicas=1")
    world.until(lambda: settled(world, 1), SECONDS)
    world.kubectl("scale", AGPS, "--replicas=0")
    world.until(lambda: settled(world, 0), SECONDS)
    world.kubectl("scale", AGPS, "--replicas=2")
    world.until(lambda: settled(world, 2), SECONDS)


def test_the_object_goes_with_the_mode_comes_back_when_deleted_and_leaves_a_foreign_one(world: World) -> None:
    foreign = {"apiVersion": names.API_VERSION, "kind": names.SCALE_KIND, "metadata": {"name": "shop-light"}}
    world.apply({**foreign, "spec": {"replicas": 4}})
    world.apply(external())
    world.until(lambda: world.condition("Degraded").get("reason") == "NameConflict", SECONDS)
    world.until(lambda: settled(world, 1), SECONDS)
    assert asked(world) == 4
    world.kubectl("delete", AGPS)
    world.until(lambda: asked(world) == 1, SECONDS)
    world.kubectl("scale", AGPS, "--replicas=2")
    world.until(lambda: settled(world, 2), SECONDS)
    world.kubectl("delete", AGPS)
    world.until(lambda: asked(world) == 2, SECONDS)
    world.apply(external(mode="Internal"))
    world.until(lambda: world.get(AGPS) is None, SECONDS)
    assert settled(world, 2)


def test_a_real_hpa_writes_the_pool_scale(world: World) -> None:
    world.apply(external())
    world.until(lambda: settled(world, 1), SECONDS)
    world.apply(autoscaler(names.SCALE_KIND, "shop-light", smallest=3))
    world.until(lambda: settled(world, 3), HPA_SECONDS)
    assert asked(world) == 3
    hpa = world.get("hpa/theirs") or {}
    able = next(one for one in hpa["status"]["conditions"] if one["type"] == "AbleToScale")
    assert able["status"] == "True", able
    assert condition(world, "ScalingConflict")["status"] == "False"
