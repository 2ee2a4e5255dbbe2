"""Whatever happened before, the world becomes what the spec says, and then nothing is done."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_api.status import Status
from autoglm_operator.core.children import DEPLOYMENT
from autoglm_operator.core.keys import JSON, ChildRef
from autoglm_operator.core.pool_scale import POOL_SCALE
from autoglm_operator.core.rollout import surge_of
from support.manifests import changed, two_pools
from support.simulated_kubernetes import SimulatedKubernetes, converge, revision_of, step

_EXTRA = {"name": "extra", "serves": "Simple", "model": {"name": "glm-extra", "uri": "builtin://x"}}


@st.composite
def manifests(draw: st.DrawFn) -> dict[str, Any]:
    manifest = changed(two_pools(), "spec.gateway", {"replicas": draw(st.integers(1, 3))})
    for pool in ("light", "large"):
        smallest = draw(st.integers(1, 4))
        mode = draw(st.sampled_from(["Internal", "External"]))
        scaling = {"mode": mode, "minReplicas": smallest, "maxReplicas": draw(st.integers(smallest, 6))}
        manifest = changed(manifest, f"spec.{pool}.scaling", scaling)
        manifest = changed(manifest, f"spec.{pool}.template", {"image": draw(st.sampled_from(["a:1", "a:2", "a:3"]))})
    if draw(st.booleans()):
        manifest["spec"]["pools"].append(_EXTRA)
    return manifest


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[dict[str, Any], int, bool, int]]:
    """Steps of: the manifest, how many actions are done before the operator dies, do pods work, child to delete."""
    one = st.tuples(manifests(), st.integers(0, 25), st.booleans(), st.integers(0, 40))
    return draw(st.lists(one, max_size=4))


def _children(world: SimulatedKubernetes) -> dict[ChildRef, JSON]:
    """Return the world without the accidents of its making."""
    accidents = {"uid": "", "managedFields": []}
    return {ref: {**body, "metadata": {**body["metadata"], **accidents}} for ref, body in world.children.items()}


def _live_through(history: list[tuple[dict[str, Any], int, bool, int]]) -> tuple[SimulatedKubernetes, Status]:
    world, status = SimulatedKubernetes(), Status()
    for manifest, done, works, deleted in history:
        for _ in range(3):
            outcome, _ = step(world, manifest, status)
            world.perform(outcome.actions[:done])
            world.start(lambda _: works)  # noqa: B023 - called at once
        status = outcome.status
        for ref in list(world.children)[deleted : deleted + 1]:
            world.delete(ref)
    return world, status


@settings(max_examples=15)
@given(histories(), manifests())
def test_every_history_ends_in_the_world_of_a_fresh_start(history: Any, manifest: dict[str, Any]) -> None:
    lived, status = _live_through(history)
    fresh = SimulatedKubernetes()
    converge(lived, manifest, status)
    converge(fresh, manifest)
    assert _without_sizes(_children(lived)) == _without_sizes(_children(fresh))


_SIZED = (DEPLOYMENT, POOL_SCALE)


def _without_sizes(children: dict[ChildRef, JSON]) -> dict[ChildRef, JSON]:
    """Leave replicas out: a pool may keep a larger size that it once had, within its bounds."""
    return {
        ref: {**body, "spec": {**body["spec"], "replicas": None}, "status": {}} if ref.kind in _SIZED else body
        for ref, body in children.items()
    }


@settings(max_examples=15)
@given(histories(), manifests())
def test_sizes_end_within_their_bounds(history: Any, manifest: dict[str, Any]) -> None:
    world, status = _live_through(history)
    converged = converge(world, manifest, status)
    bounds = {pool["name"]: pool.get("scaling", {}) for pool in manifest["spec"]["pools"]}
    for pool in converged.pools or ():
        low, high = bounds[pool.name].get("minReplicas", 1), bounds[pool.name].get("maxReplicas", 1)
        assert low <= pool.desired_replicas <= high
        assert pool.ready_replicas == pool.replicas == pool.desired_replicas


@settings(max_examples=25)
@given(manifests(), manifests(), st.sets(st.sampled_from(["light", "large"])))
def test_no_step_of_a_rollout_takes_a_ready_replica_too_many(
    before: dict[str, Any], after: dict[str, Any], broken: set[str]
) -> None:
    world = SimulatedKubernetes()
    status = converge(world, before)
    old = {revision_of(pod) for pod in world.pods.values()}

    def works(pod: JSON) -> bool:
        return revision_of(pod) in old or pod["metadata"]["labels"].get("autoglm.dev/pool") not in broken

    for _ in range(30):
        ready = {pool: world.ready(pool) for pool in ("light", "large")}
        outcome, _ = step(world, after, status)
        if not outcome.actions and outcome.status == status:
            break
        world.perform(outcome.actions)
        for pool, had in ready.items():
            desired = outcome.pools[pool].desired
            assert world.ready(pool) >= min(had, desired)
            assert len(world.observed().workers(pool)) <= max(desired + surge_of(desired), had)
        world.start(works)
        status = outcome.status


@settings(max_examples=10)
@given(manifests())
def test_the_same_question_has_the_same_answer(manifest: dict[str, Any]) -> None:
    world = SimulatedKubernetes()
    status = converge(world, manifest)
    assert step(world, manifest, status)[0] == step(world, manifest, status)[0]
    assert not step(world, manifest, status)[0].events
