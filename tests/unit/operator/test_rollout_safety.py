"""What must never cost a ready replica: quick changes of mind, edited labels, a lost status."""

import copy
from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.status import Status
from autoglm_operator.core.keys import ChildRef
from autoglm_operator.core.outcome import Delete, Scale
from support.manifests import changed, two_pools
from support.simulated_kubernetes import SimulatedKubernetes, converge, revision_of, step

FOUR = changed(two_pools(), "spec.light.scaling", {"minReplicas": 4, "maxReplicas": 8})


def _image(manifest: dict[str, Any], image: str) -> dict[str, Any]:
    return changed(manifest, "spec.light.template", {"image": image})


@pytest.fixture
def world() -> SimulatedKubernetes:
    return SimulatedKubernetes()


def _light_deployment(world: SimulatedKubernetes) -> ChildRef:
    found = [ref for ref in world.children if ref.kind == "Deployment" and ref.name.startswith("shop-light-")]
    assert len(found) == 1
    return found[0]


def test_pods_of_a_deleted_deployment_do_not_count_for_one_of_the_same_name(world: SimulatedKubernetes) -> None:
    """A -> B -> A: the garbage collector has not come to the pods of the first A yet, which stay Ready a little."""
    status = converge(world, _image(FOUR, "a:1"))
    ghosts = {f"ghost-{name}": copy.deepcopy(pod) for name, pod in world.pods.items() if revision_of(pod)}
    for name, pod in ghosts.items():
        pod["metadata"]["name"] = name
    status = converge(world, _image(FOUR, "b:1"), status)
    replacing = {name for name, pod in world.pods.items() if pod["metadata"]["labels"].get(names.LABEL_POOL) == "light"}
    for _ in range(6):
        outcome, _ = step(_haunted(world, ghosts), _image(FOUR, "a:1"), status)
        world.perform(outcome.actions)
        status = outcome.status
    assert replacing <= set(world.pods)


def _haunted(world: SimulatedKubernetes, ghosts: dict[str, Any]) -> SimulatedKubernetes:
    seen = SimulatedKubernetes()
    seen.children, seen.pods = world.children, {**world.pods, **ghosts}
    return seen


@pytest.mark.parametrize("label", [names.LABEL_REVISION, names.LABEL_POOL])
@pytest.mark.parametrize("value", ["edited", None])
def test_an_edited_label_is_repaired_and_costs_no_replica(
    world: SimulatedKubernetes, label: str, value: str | None
) -> None:
    status = converge(world, FOUR)
    labels = world.children[_light_deployment(world)]["metadata"]["labels"]
    labels.pop(label)
    if value is not None:
        labels[label] = value
    outcome, _ = step(world, FOUR, status)
    assert not [action for action in outcome.actions if isinstance(action, Scale | Delete)]
    world.perform(outcome.actions)
    assert world.children[_light_deployment(world)]["metadata"]["labels"][label] not in ("edited", None)


def test_a_status_lost_in_a_rollout_does_not_shrink_the_pool(world: SimulatedKubernetes) -> None:
    wide = changed(two_pools(), "spec.light.scaling", {"minReplicas": 1, "maxReplicas": 8})
    status = converge(world, FOUR)
    for _ in range(3):
        outcome, _ = step(world, _image(wide, "b:1"), status)
        world.perform(outcome.actions)
        world.start()
        status = outcome.status
    outcome, _ = step(world, _image(wide, "b:1"), Status())
    world.perform(outcome.actions)
    assert world.ready("light") >= 4
