"""A new revision takes over without taking a ready replica away; a broken one takes nothing."""

from typing import Any

import pytest

from autoglm_api import names
from support.manifests import changed
from support.operators import World, service

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

READY_SECONDS = 40.0


def _ready_pods(world: World, pool: str) -> int:
    conditions = [pod["status"].get("conditions", []) for pod in world.pods(pool)]
    return sum(any(one["type"] == "Ready" and one["status"] == "True" for one in each) for each in conditions)


def _with_image(image: str, light: int) -> dict[str, Any]:
    manifest = changed(service(light=light), "spec.light.template.image", image)
    return changed(manifest, "spec.light.template.annotations", {names.ANNOTATION_FAKE_START_SECONDS: "0.5"})


def test_an_image_update_keeps_every_ready_replica_until_it_is_replaced(world: World) -> None:
    world.apply(_with_image("example/worker:1", light=4))
    world.until(world.is_ready, READY_SECONDS)
    old = world.workers("light")[0]["metadata"]["name"]
    world.apply(_with_image("example/worker:2", light=4))
    seen: list[tuple[int, int]] = []

    def done() -> bool:
        seen.append((_ready_pods(world, "light"), len(world.pods("light"))))
        return world.is_ready()

    world.until(done, READY_SECONDS)
    assert min(ready for ready, _ in seen) >= 4
    assert max(pods for _, pods in seen) <= 5
    assert [one["metadata"]["name"] for one in world.workers("light")] != [old]
    assert not [child for child in world.children() if child.endswith(old)]


def test_a_broken_revision_takes_no_capacity_and_can_be_taken_back(world: World) -> None:
    world.apply(service(light=2))
    world.until(world.is_ready, READY_SECONDS)
    good = world.workers("light")[0]["metadata"]["name"]
    world.apply(changed(service(light=2), "spec.light.template.annotations", {names.ANNOTATION_FAKE_FAILURE: "image"}))
    world.until(lambda: world.condition("Degraded").get("reason") == "ImagePullFailed", READY_SECONDS)
    assert world.condition("Ready")["status"] == "True"
    assert world.condition("Progressing")["reason"] == "RollingOut"
    assert _ready_pods(world, "light") == 2
    world.kubectl("patch", names.CRD_NAME, "shop", "--type=json", "-p", _REMOVE_ANNOTATIONS)
    world.until(world.is_ready, READY_SECONDS)
    assert [one["metadata"]["name"] for one in world.workers("light")] == [good]


_REMOVE_ANNOTATIONS = '[{"op": "remove", "path": "/spec/pools/0/template/annotations"}]'


def test_a_removed_pool_goes_with_all_its_objects(world: World) -> None:
    manifest = service()
    extra = changed(manifest, "spec.light.name", "extra")["spec"]["pools"][0] | {
        "model": {"name": "glm-extra", "uri": "builtin://x"}
    }
    with_extra = {**manifest, "spec": {**manifest["spec"], "pools": [*manifest["spec"]["pools"], extra]}}
    world.apply(with_extra)
    world.until(world.is_ready, READY_SECONDS)
    assert len(world.children()) == 19
    world.apply(manifest)
    world.until(lambda: len(world.children()) == 15 and not world.pods("extra"), READY_SECONDS)
