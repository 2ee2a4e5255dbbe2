"""What becomes of a size on a real API server: victims, quotas, sleep and wake. The test takes the engine's place."""

from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.status import Reason
from support.inside import Inside, inside
from support.operators import World, service

pytestmark = pytest.mark.cluster


def _wide(smallest: int = 1) -> dict[str, Any]:
    manifest = service()
    manifest["spec"]["pools"][0]["scaling"] = {"minReplicas": smallest, "maxReplicas": 8}
    return manifest


def _pool(world: World) -> dict[str, Any]:
    return next((pool for pool in world.status().get("pools", []) if pool["name"] == "light"), {})


def _condition(world: World, kind: str) -> tuple[str, str]:
    found: dict[str, str] = next((one for one in _pool(world).get("conditions", []) if one["type"] == kind), {})
    return found.get("status", ""), found.get("reason", "")


def _has(world: World, size: int) -> bool:
    return _pool(world).get("readyReplicas") == size == _pool(world).get("desiredReplicas")


def _names(world: World) -> set[str]:
    return {pod["metadata"]["name"] for pod in world.pods("light")}


async def _grown(world: World, operator: Inside, size: int) -> None:
    await operator.until(world.is_ready)
    operator.decide("light", size)
    await operator.until(lambda: _has(world, size))
    operator.decide("light", size)  # the next tick, which has seen that size


async def test_a_shrinking_pool_gives_up_its_idlest_replicas(world: World) -> None:
    world.apply(_wide())
    async with inside(world) as operator:
        await operator.until(world.is_ready)
        (oldest,) = _names(world)
        await _grown(world, operator, 4)
        operator.in_flight |= dict.fromkeys(_names(world), 5) | {oldest: 0}
        operator.decide("light", 3)
        await operator.until(lambda: _has(world, 3) and len(world.pods("light")) == 3)
        assert oldest not in _names(world)
        busiest = max(_names(world))
        operator.in_flight |= {busiest: 9}
        operator.decide("light", 1)
        await operator.until(lambda: len(world.pods("light")) == 1)
        assert _names(world) == {busiest}


async def test_a_quota_is_named_and_told_to_the_engine(world: World) -> None:
    world.apply(_wide())
    async with inside(world) as operator:
        await operator.until(world.is_ready)
        world.kubectl("create", "quota", "few", "--hard=count/pods=4")  # a gateway, one large, two light
        operator.decide("light", 6)
        await operator.until(lambda: _condition(world, "ScalingLimited") == ("True", "QuotaExceeded"))
        await operator.until(lambda: _pool(world)["readyReplicas"] == 2)
        target = operator.targets()["light"]
        assert (target.current, target.ready, target.unschedulable) == (6, 2, 4)
        assert target.no_room is Reason.QUOTA
        assert (world.condition("Ready")["status"], world.condition("Degraded")["reason"]) == ("True", "QuotaExceeded")
        operator.decide("light", 2)
        await operator.until(lambda: _condition(world, "ScalingLimited")[0] == "False")


async def test_replicas_without_a_node_are_told_to_the_engine(world: World) -> None:
    manifest = _wide()
    manifest["spec"]["pools"][0]["template"]["resources"] = {"requests": {"cpu": "30"}}
    world.apply(manifest)
    async with inside(world) as operator:
        await operator.until(world.is_ready)
        (took,) = operator.targets()["light"].became_ready
        assert 0 <= took < 60
        operator.decide("light", 7)
        await operator.until(lambda: operator.targets()["light"].unschedulable >= 3)
        assert operator.targets()["light"].unschedulable_seconds >= 0


async def test_a_pool_sleeps_wakes_and_sleeps_over_a_restart(world: World) -> None:
    world.apply(_wide(smallest=0))
    async with inside(world) as operator:
        await operator.until(world.is_ready)
        assert (_names(world), _condition(world, "Ready")) == (set(), ("True", "ScaledToZero"))
        operator.decide("light", 1, Reason.WOKEN)
        await operator.reconciler(operator.key)
        assert _condition(world, "Ready") == ("True", "Woken")
        await operator.until(lambda: _has(world, 1))
        operator.decide("light", 0, Reason.SCALED_TO_ZERO)
        await operator.until(lambda: not _names(world))
    async with inside(world) as successor:
        await successor.until(lambda: _condition(world, "Ready") == ("True", "ScaledToZero"))
        assert (successor.targets()["light"].current, _names(world)) == (0, set())
        assert world.condition("Ready")["status"] == "True"


async def test_a_person_may_stop_and_start_a_pool_that_may_sleep(world: World) -> None:
    world.apply(_wide(smallest=0))
    async with inside(world) as operator:
        await _grown(world, operator, 2)
        worker = world.workers("light")[0]["metadata"]["name"]
        world.kubectl("scale", "deployment", worker, "--replicas=0")
        await operator.until(lambda: not _names(world))
        assert operator.targets()["light"].current == 0
        operator.decide("light", 0, Reason.MANUAL_ZERO)
        await operator.until(lambda: _condition(world, "Ready") == ("False", "ManualZero"))
        world.kubectl("scale", "deployment", worker, "--replicas=1")
        await operator.until(lambda: _has(world, 1))
        assert operator.targets()["light"].current == 1


async def test_elsewhere_a_foreign_zero_is_undone(world: World) -> None:
    world.apply(_wide())
    async with inside(world) as operator:
        await _grown(world, operator, 2)
        world.kubectl("scale", "deployment", world.workers("light")[0]["metadata"]["name"], "--replicas=0")
        await operator.until(lambda: _has(world, 2))


async def test_an_annotation_holds_a_direction(world: World) -> None:
    world.apply(_wide())
    async with inside(world) as operator:
        await _grown(world, operator, 3)
        world.kubectl("annotate", names.CRD_NAME, "shop", f"{names.ANNOTATION_PAUSED_SCALE_IN}=true")
        operator.decide("light", 1)
        await operator.until(lambda: _condition(world, "ScalingLimited") == ("True", "Paused"))
        assert len(_names(world)) == 3
        world.kubectl("annotate", names.CRD_NAME, "shop", f"{names.ANNOTATION_PAUSED_SCALE_IN}-")
        await operator.until(lambda: _has(world, 1))
