from datetime import timedelta
from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.status import Condition, PoolStatus, Reason, Status
from autoglm_operator.core.deployment import condition
from autoglm_operator.core.keys import ChildRef
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.outcome import Outcome
from autoglm_operator.core.reconcile import reconcile
from autoglm_operator.scaling.model import PoolDecision
from support.manifests import changed, two_pools
from support.simulated_kubernetes import IMAGES, NOW, SimulatedKubernetes, converge, deployment, revision_of, step

GATEWAY_SERVICE = ChildRef("Service", "shop-gateway")


def _of(status: Status, kind: str) -> tuple[str, str]:
    found = condition(status.conditions, kind)
    assert found is not None
    return found.status, found.reason


def _pool(status: Status, name: str) -> PoolStatus:
    return next(pool for pool in status.pools or () if pool.name == name)


def _message(status: Status, kind: str) -> str:
    found = condition(status.conditions, kind)
    assert found is not None
    return found.message


@pytest.fixture
def world() -> SimulatedKubernetes:
    return SimulatedKubernetes()


def test_ready_when_a_query_would_be_answered(world: SimulatedKubernetes) -> None:
    status = converge(world, two_pools())
    assert _of(status, "Ready") == ("True", "Available")
    assert _of(status, "Progressing") == ("False", "Stable")
    assert _of(status, "Degraded") == ("False", "AsExpected")
    assert (status.light, status.large, status.observed_generation) == ("1/1", "1/1", 1)
    assert status.url == "http://shop-gateway.default.svc"


@pytest.mark.parametrize(
    ("down", "reason", "words"),
    [
        ("light", "PoolNotReady", "no ready replica serves Simple"),
        ("large", "PoolNotReady", "no ready replica serves Complex"),
        ("", "GatewayNotReady", "no gateway replica is ready"),
    ],
)
def test_not_ready_when_a_part_is_missing(world: SimulatedKubernetes, down: str, reason: str, words: str) -> None:
    status = converge(world, two_pools())
    world.start(lambda pod: pod["metadata"]["labels"].get(names.LABEL_POOL, "") != down)
    outcome, _ = step(world, two_pools(), status)
    assert _of(outcome.status, "Ready") == ("False", reason)
    assert words in _message(outcome.status, "Ready")


@pytest.mark.parametrize(
    ("name", "reason", "words"),
    [
        ("shop-gateway", "GatewayNotReady", "the gateway has no Service"),
        ("shop-large-", "PoolNotReady", "no ready replica serves Complex"),
    ],
)
def test_not_ready_when_no_service_leads_there(world: SimulatedKubernetes, name: str, reason: str, words: str) -> None:
    status = converge(world, two_pools())
    world.delete(next(ref for ref in world.children if ref.kind == "Service" and ref.name.startswith(name)))
    after = step(world, two_pools(), status)[0].status
    assert _of(after, "Ready") == ("False", reason)
    assert words in _message(after, "Ready")


def test_evidence_reaches_ready_degraded_and_the_pool(world: SimulatedKubernetes) -> None:
    status = converge(world, two_pools())
    for pod in world.pods.values():
        if pod["metadata"]["labels"].get(names.LABEL_POOL) == "large":
            waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
            pod["status"] = {"containerStatuses": [{"state": waiting}]}
    after = step(world, two_pools(), status)[0].status
    assert _of(after, "Degraded") == ("True", "ImagePullFailed")
    assert "pool large: 1 of 1 replicas: ImagePullBackOff: no such image" in _message(after, "Ready")
    found = condition(_pool(after, "large").conditions, "Ready")
    assert found is not None
    assert found.reason == "ImagePullFailed"


def test_a_foreign_service_blocks_and_is_named(world: SimulatedKubernetes) -> None:
    foreign = {"kind": "Service", "metadata": {"name": "shop-gateway", "uid": "1"}, "spec": {}}
    world.children[GATEWAY_SERVICE] = foreign
    outcome, _ = step(world, two_pools(), Status())
    assert _of(outcome.status, "Ready") == ("False", "NameConflict")
    assert GATEWAY_SERVICE not in {action.ref for action in outcome.actions}
    assert outcome.requeue_after is not None


def test_a_foreign_budget_does_not_block(world: SimulatedKubernetes) -> None:
    ref = ChildRef("PodDisruptionBudget", "shop-light-workers")
    world.children[ref] = {"kind": ref.kind, "metadata": {"name": ref.name, "uid": "1"}}
    status = converge(world, two_pools())
    assert _of(status, "Ready") == ("True", "Available")
    assert _of(status, "Degraded") == ("True", "NameConflict")


def test_a_refusal_is_quoted(world: SimulatedKubernetes) -> None:
    memory = Memory(refusals={ChildRef("Deployment", "shop-gateway"): "exceeded quota: few"})
    status = step(world, two_pools(), Status(), memory)[0].status
    assert _of(status, "Degraded") == ("True", "APIRefused")
    assert "Deployment shop-gateway: exceeded quota: few" in _message(status, "Degraded")


def test_refused_pods_are_quoted(world: SimulatedKubernetes) -> None:
    status = converge(world, two_pools())
    failure = {"type": "ReplicaFailure", "status": "True", "message": "violates PodSecurity"}
    world.children[ChildRef("Deployment", "shop-gateway")]["status"] = {"conditions": [failure]}
    after = step(world, two_pools(), status)[0].status
    assert _of(after, "Degraded") == ("True", "APIRefused")
    assert "violates PodSecurity" in _message(after, "Degraded")


def test_paused_changes_nothing_and_offers_no_pool_to_scaling(world: SimulatedKubernetes) -> None:
    status = converge(world, two_pools())
    world.delete(GATEWAY_SERVICE)
    outcome, _ = step(world, changed(two_pools(), "spec.paused", True), status)
    assert (outcome.actions, outcome.pools) == ((), {})
    assert _of(outcome.status, "Paused") == ("True", "Paused")


def test_paused_tells_of_no_change_that_is_not_made(world: SimulatedKubernetes) -> None:
    status = converge(world, WIDE)
    wanted = changed(changed(WIDE, "spec.light.template", {"image": "b:2"}), "spec.light.scaling.minReplicas", 3)
    outcome, _ = step(world, changed(wanted, "spec.paused", True), status)
    before, light = _pool(status, "light"), _pool(outcome.status, "light")
    assert (light.revision, light.desired_replicas, light.summary) == (before.revision, 1, "1/1")
    assert {one.type: one.reason for one in light.conditions or ()}["Progressing"] == "Paused"
    assert {event.reason for event in outcome.events} == {"Paused"}
    resumed, _ = step(world, wanted, outcome.status)
    assert {event.reason for event in resumed.events} >= {"RolloutStarted", "Scaled"}


def test_endless_words_of_the_server_fit_into_the_status(world: SimulatedKubernetes) -> None:
    refusals = {GATEWAY_SERVICE: "x" * 40_000}
    status = step(world, two_pools(), Status(), Memory(refusals=refusals))[0].status
    assert _message(status, "Degraded").startswith("Service shop-gateway: xxx")


def test_an_unreadable_spec_touches_nothing_and_keeps_what_is_known(world: SimulatedKubernetes) -> None:
    status = converge(world, two_pools())
    outcome, _ = step(world, changed(two_pools(), "spec.light.weight", 0), status)
    assert outcome.actions == ()
    assert _of(outcome.status, "Ready") == ("Unknown", "InvalidSpec")
    assert "spec.pools.0.weight" in _message(outcome.status, "Degraded")
    assert outcome.status.pools == status.pools


def _later(world: SimulatedKubernetes, manifest: dict[str, Any], status: Status) -> Outcome:
    later = NOW + timedelta(hours=1)
    return reconcile(deployment(manifest, status), world.observed(), Memory(), later, IMAGES)


def _condition(status: Status, kind: str) -> Condition:
    found = condition(status.conditions, kind)
    assert found is not None
    return found


def test_transition_times_move_with_the_status_only(world: SimulatedKubernetes) -> None:
    status = converge(world, two_pools())
    assert _later(world, two_pools(), status).status == status
    world.start(lambda _: False)
    after = _later(world, two_pools(), status).status
    assert _condition(after, "Ready").last_transition_time == "2026-01-01T01:00:00Z"
    assert _condition(after, "Paused") == _condition(status, "Paused")


def _decision(replicas: int, reason: Reason = Reason.AS_EXPECTED, message: str = "load 3") -> PoolDecision:
    return PoolDecision(replicas, reason, "Concurrency", message, metrics_available=True, limited=None, at=NOW)


WIDE = changed(two_pools(), "spec.light.scaling", {"minReplicas": 1, "maxReplicas": 5})


def test_a_decision_sizes_the_pool_and_is_recorded(world: SimulatedKubernetes) -> None:
    status = converge(world, WIDE)
    outcome, _ = step(world, WIDE, status, Memory().decided("light", _decision(3)))
    light = _pool(outcome.status, "light")
    assert (light.desired_replicas, light.summary) == (3, "1/3")
    assert light.last_decision is not None
    assert light.last_decision.message == "load 3"
    assert [event.reason for event in outcome.events] == ["Scaled"]
    assert "1 -> 3: load 3" in outcome.events[0].note


def test_fresh_figures_for_the_same_decision_change_nothing(world: SimulatedKubernetes) -> None:
    status = converge(world, WIDE)
    first = step(world, WIDE, status, Memory().decided("light", _decision(1)))[0].status
    again = step(world, WIDE, first, Memory().decided("light", _decision(1, message="load 4")))[0]
    assert (again.status, again.events) == (first, ())


def test_missing_metrics_and_limits_are_conditions(world: SimulatedKubernetes) -> None:
    limited = PoolDecision(5, Reason.TOO_MANY_REPLICAS, None, "", False, Reason.TOO_MANY_REPLICAS, NOW)
    status = step(world, WIDE, Status(), Memory().decided("light", limited))[0].status
    found = {one.type: (one.status, one.reason) for one in _pool(status, "light").conditions or ()}
    assert found["MetricsAvailable"] == ("False", "MetricsMissing")
    assert found["ScalingLimited"] == ("True", "TooManyReplicas")


def test_a_rollout_is_told(world: SimulatedKubernetes) -> None:
    status = converge(world, WIDE)
    outcome, _ = step(world, changed(WIDE, "spec.light.template", {"image": "b:2"}), status)
    assert _of(outcome.status, "Progressing") == ("True", "RollingOut")
    assert _of(outcome.status, "Ready") == ("True", "Available")
    assert "RolloutStarted" in {event.reason for event in outcome.events}
    old, new = _pool(status, "light").revision, _pool(outcome.status, "light").revision
    assert old != new
    assert old in {revision_of(pod) for pod in world.pods.values()}


def test_a_first_status_tells_nothing_but_faults(world: SimulatedKubernetes) -> None:
    assert step(world, two_pools(), Status())[0].events == ()


def test_the_class_of_vectors_is_missed_where_a_pool_serves_it(world: SimulatedKubernetes) -> None:
    manifest = two_pools()
    model = {"name": "minilm", "kind": "Embedding", "uri": "builtin://minilm"}
    manifest["spec"]["pools"].append({"name": "vectors", "serves": "Embedding", "model": model})
    status = converge(world, manifest)
    assert _of(status, "Ready") == ("True", "Available")
    world.start(lambda pod: pod["metadata"]["labels"].get(names.LABEL_POOL, "") != "vectors")
    outcome, _ = step(world, manifest, status)
    assert _of(outcome.status, "Ready") == ("False", "PoolNotReady")
    assert "no ready replica serves Embedding" in _message(outcome.status, "Ready")
