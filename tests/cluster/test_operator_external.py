"""Mode External on a real API server: kubectl and a real HPA write the size, the operator carries it out."""

import pytest

from autoglm_api import names
from support.external import AGPS, asked, autoscaler, condition, in_mode, pool, settled, sizes
from support.operators import World

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

SECONDS = 30.0
HPA_SECONDS = 75.0  # its controller looks every 15 s, and learns of a new kind within 30 s


def test_kubectl_scale_decides_within_the_bounds(world: World) -> None:
    world.apply(in_mode("External"))
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
    world.apply(in_mode("External", smallest=2))
    world.until(lambda: settled(world, 2), SECONDS)
    world.until(lambda: (world.get(AGPS) or {}).get("status", {}).get("replicas") == 2, SECONDS)
    selector = (world.get(AGPS) or {})["status"]["selector"]
    assert {pod["metadata"]["name"] for pod in world.find("pods", selector)} == {
        pod["metadata"]["name"] for pod in world.pods("light")
    }
    row = world.kubectl("get", AGPS, "--no-headers").split()
    assert row[:5] == ["shop-light", "shop", "light", "2", "2"]


def test_a_pool_may_be_put_to_sleep_and_woken(world: World) -> None:
    world.apply(in_mode("External", smallest=0))
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
    world.apply(in_mode("External"))
    world.until(lambda: world.condition("Degraded").get("reason") == "NameConflict", SECONDS)
    world.until(lambda: settled(world, 1), SECONDS)
    assert asked(world) == 4
    world.kubectl("delete", AGPS)
    world.until(lambda: asked(world) == 1, SECONDS)
    world.kubectl("scale", AGPS, "--replicas=2")
    world.until(lambda: settled(world, 2), SECONDS)
    world.kubectl("delete", AGPS)
    world.until(lambda: asked(world) == 2, SECONDS)
    world.apply(in_mode("Internal"))
    world.until(lambda: world.get(AGPS) is None, SECONDS)
    assert settled(world, 2)


def test_a_real_hpa_writes_the_pool_scale(world: World) -> None:
    world.apply(in_mode("External"))
    world.until(lambda: settled(world, 1), SECONDS)
    world.apply(autoscaler(names.SCALE_KIND, "shop-light", smallest=3))
    world.until(lambda: settled(world, 3), HPA_SECONDS)
    assert asked(world) == 3
    hpa = world.get("hpa/theirs") or {}
    able = next(one for one in hpa["status"]["conditions"] if one["type"] == "AbleToScale")
    assert able["status"] == "True", able
    assert condition(world, "ScalingConflict")["status"] == "False"
