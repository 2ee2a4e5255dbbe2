"""What is done about a world that differs."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.status import PoolStatus, Reason, Status
from autoglm_operator.core.children import KINDS
from autoglm_operator.core.deployment import Pauses
from autoglm_operator.core.desired import Past, bounds_of, desired_size
from autoglm_operator.core.keys import ChildRef
from autoglm_operator.core.memory import Memory, changes_something
from autoglm_operator.core.outcome import Apply, Delete, Scale
from autoglm_operator.core.problems import GATEWAY, place_of
from autoglm_operator.core.rollout import RevisionState
from autoglm_operator.scaling.model import PoolDecision
from support.manifests import changed, two_pools
from support.simulated_kubernetes import NOW, SimulatedKubernetes, converge, deployment, step

GATEWAY_DEPLOYMENT = ChildRef("Deployment", "shop-gateway")


@pytest.fixture
def world() -> SimulatedKubernetes:
    return SimulatedKubernetes()


def _next(world: SimulatedKubernetes, manifest: dict[str, Any], status: Status) -> list[tuple[str, ChildRef]]:
    return [(type(action).__name__, action.ref) for action in step(world, manifest, status)[0].actions]


def test_everything_is_created_before_the_pods_that_need_it(world: SimulatedKubernetes) -> None:
    actions = step(world, two_pools(), Status())[0].actions
    kinds = [action.ref.kind for action in actions if isinstance(action, Apply)]
    assert kinds == sorted(kinds, key=KINDS.index)
    assert len(kinds) == 15
    assert all(action.because for action in actions)


def test_a_new_deployment_is_scaled_unless_one_replica_is_wanted(world: SimulatedKubernetes) -> None:
    scales = [action for action in step(world, two_pools(), Status())[0].actions if isinstance(action, Scale)]
    assert [(scale.ref, scale.replicas) for scale in scales] == [(GATEWAY_DEPLOYMENT, 2)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != names.SCALE_KIND])
def test_a_deleted_child_is_created_again(world: SimulatedKubernetes, kind: str) -> None:
    status = converge(world, two_pools())
    world.delete(ChildRef(kind, "shop-gateway"))
    assert ("Apply", ChildRef(kind, "shop-gateway")) in _next(world, two_pools(), status)


def test_an_edited_child_is_applied_and_the_edit_is_told(world: SimulatedKubernetes) -> None:
    status = converge(world, two_pools())
    world.children[ChildRef("Service", "shop-gateway")]["spec"]["selector"][names.LABEL_DEPLOYMENT] = "other"
    outcome, _ = step(world, two_pools(), status)
    assert [action.because for action in outcome.actions] == [
        f"edited by somebody else: spec.selector.{names.LABEL_DEPLOYMENT}"
    ]
    assert [event.reason for event in outcome.events] == ["Repaired"]


def test_a_changed_spec_is_no_repair(world: SimulatedKubernetes) -> None:
    status = converge(world, two_pools())
    outcome, _ = step(world, changed(two_pools(), "spec.queue", {"maxQueries": 3}), status)
    assert [action.ref for action in outcome.actions] == [ChildRef("ConfigMap", "shop-gateway")]
    assert outcome.events == ()


def test_a_size_that_somebody_else_set_is_set_back(world: SimulatedKubernetes) -> None:
    status = converge(world, two_pools())
    world.children[GATEWAY_DEPLOYMENT]["spec"]["replicas"] = 7
    assert _next(world, two_pools(), status) == [("Scale", GATEWAY_DEPLOYMENT)]


def test_a_child_on_its_way_out_is_waited_for(world: SimulatedKubernetes) -> None:
    status = converge(world, two_pools())
    world.children[GATEWAY_DEPLOYMENT]["metadata"]["deletionTimestamp"] = "now"
    assert _next(world, two_pools(), status) == []


def test_objects_of_a_removed_pool_are_deleted_pods_first(world: SimulatedKubernetes) -> None:
    extra = {"name": "extra", "serves": "Simple", "model": {"name": "x", "uri": "builtin://x"}}
    manifest = two_pools()
    status = converge(world, {**manifest, "spec": {"pools": [*manifest["spec"]["pools"], extra]}})
    actions = [action for action in step(world, manifest, status)[0].actions if isinstance(action, Delete)]
    assert [action.ref.kind for action in actions] == ["Deployment", "ConfigMap", "Service", "PodDisruptionBudget"]
    assert all("extra" in action.ref.name and action.uid for action in actions)


def test_what_is_not_ours_is_never_deleted(world: SimulatedKubernetes) -> None:
    status = converge(world, two_pools())
    labels = {names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_DEPLOYMENT: "shop"}
    foreign = {"kind": "Service", "metadata": {"name": "mine", "uid": "1", "labels": labels}}
    world.children[ChildRef("Service", "mine")] = foreign
    assert _next(world, two_pools(), status) == []


def _decision(replicas: int) -> PoolDecision:
    return PoolDecision(replicas, Reason.AS_EXPECTED, None, "", metrics_available=True, limited=None, at=NOW)


@pytest.mark.parametrize(
    ("decided", "reported", "existing", "size"),
    [
        (None, None, [], 2),  # a pool that never was: the minimum
        (4, None, [], 4),
        (4, 6, [6], 4),  # the decision counts
        (9, None, [], 6),  # within the bounds
        (1, None, [], 2),
        (None, 5, [5], 5),  # a restart holds the size
        (None, 5, [], 5),  # even when the Deployment is gone
        (None, 3, [5], 5),  # killed between a scale-up and its report
        (None, 4, [3, 2], 4),  # in the middle of a rollout
        (None, None, [3, 2], 5),  # the report was lost: rather a replica too many
    ],
)
def test_the_size_of_a_pool(decided: int | None, reported: int | None, existing: list[int], size: int) -> None:
    pool = deployment(changed(two_pools(), "spec.light.scaling", {"minReplicas": 2, "maxReplicas": 6})).spec.pool(
        "light"
    )
    before = None if reported is None else PoolStatus(name="light", desired_replicas=reported)
    states = [RevisionState(str(number), replicas, 0) for number, replicas in enumerate(existing)]
    past = Past(None if decided is None else _decision(decided), None, before, states)
    assert desired_size(past, bounds_of(pool.scaling, NOW), Pauses()) == size


def test_a_decision_is_news_when_something_but_the_figures_changes() -> None:
    assert changes_something(None, _decision(1))
    assert changes_something(_decision(1), _decision(2))
    assert not changes_something(_decision(2), _decision(2))


def test_a_reason_that_flips_at_every_tick_is_acted_on_seldom() -> None:
    memory, acted = Memory(), 0
    for tick in range(61):
        reason = Reason.SCALE_DOWN_STABILIZED if tick % 2 else Reason.DESIRED_WITHIN_RANGE
        flipped = replace(_decision(2), reason=reason, at=NOW + timedelta(seconds=5 * tick))
        acted += memory.is_news("light", flipped)
        memory = memory.decided("light", flipped)
    assert 2 <= acted <= 21


def test_another_reason_that_stays_is_acted_on() -> None:
    memory = Memory().decided("light", _decision(2))
    other = replace(_decision(2), reason=Reason.ROLLING_OUT, at=NOW + timedelta(seconds=5))
    assert not memory.is_news("light", other)
    assert memory.decided("light", other).is_news("light", replace(other, at=NOW + timedelta(seconds=20)))


def test_decisions_of_removed_pools_are_forgotten(world: SimulatedKubernetes) -> None:
    memory = Memory().decided("light", _decision(1)).decided("gone", _decision(1))
    assert set(step(world, two_pools(), Status(), memory)[0].memory.decisions) == {"light"}


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("shop-gateway", GATEWAY),
        ("shop-light-workers", "light"),
        ("shop-light-0123abcd", "light"),
        ("shop-large-0123abcd", "large"),
        ("shop-light-x-0123abcd", GATEWAY),
    ],
)
def test_where_a_child_belongs(name: str, place: str) -> None:
    assert place_of(deployment(), ChildRef("Service", name)) == place
