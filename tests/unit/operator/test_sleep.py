"""Pools without replicas: asleep is no outage, a wake is none either, and a person's zero is left alone."""

from datetime import timedelta
from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.spec import Mode
from autoglm_api.status import Condition, ConditionStatus, PoolStatus, Reason, Status
from autoglm_operator.core.conflicts import sized_by_other
from autoglm_operator.core.deployment import Pauses, condition
from autoglm_operator.core.desired import Bounds, Past, bounds_of, desired_size
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.observed import child_of
from autoglm_operator.core.outcome import Apply, Outcome, Scale
from autoglm_operator.core.pods import pod_of
from autoglm_operator.core.rollout import RevisionState
from autoglm_operator.core.sizing import Sizing
from autoglm_operator.core.sleep import Rest, rest_of
from autoglm_operator.scaling.model import PoolDecision
from support.manifests import changed, two_pools
from support.simulated_kubernetes import NOW, SimulatedKubernetes, converge, deployment, step
from support.worker_pods import worker

DROWSY = changed(two_pools(), "spec.light.scaling", {"minReplicas": 0, "maxReplicas": 4})
MAY_SLEEP, STAYS_UP = Bounds(0, 8), Bounds(1, 8)


def _decision(replicas: int, reason: Reason = Reason.DESIRED_WITHIN_RANGE) -> PoolDecision:
    return PoolDecision(replicas, reason, None, "", metrics_available=True, limited=None, at=NOW)


def _pool(status: Status) -> PoolStatus:
    return next(pool for pool in status.pools or () if pool.name == "light")


def _ready(status: Status | PoolStatus) -> tuple[str, str]:
    found = condition(status.conditions, "Ready")
    assert found is not None
    return found.status, found.reason


@pytest.fixture
def world() -> SimulatedKubernetes:
    return SimulatedKubernetes()


def test_a_pool_that_may_sleep_starts_asleep_and_no_pod_is_ever_started(world: SimulatedKubernetes) -> None:
    outcome, _ = step(world, DROWSY, Status())
    created = [one for one in outcome.actions if isinstance(one, Apply) and one.ref.name.startswith("shop-light-")]
    assert [one.body["spec"].get("replicas") for one in created if one.ref.kind == "Deployment"] == [0]
    status = converge(world, DROWSY)
    assert _ready(_pool(status)) == ("True", "ScaledToZero")
    assert (_ready(status), status.light) == (("True", "Available"), "0/0")


def _deciding(world: SimulatedKubernetes, status: Status, decision: PoolDecision, basis: int) -> Outcome:
    return step(world, DROWSY, status, Memory().decided("light", decision, basis))[0]


def test_a_wake_is_no_outage_while_its_replicas_start(world: SimulatedKubernetes) -> None:
    asleep = converge(world, DROWSY)
    woken = _deciding(world, asleep, _decision(1, Reason.WOKEN), 0)
    assert (_ready(_pool(woken.status)), _ready(woken.status)) == (("True", "Woken"), ("True", "Available"))
    world.perform(woken.actions)
    assert _ready(_deciding(world, woken.status, _decision(1), 1).status) == ("True", "Available")
    world.start()
    assert _ready(_pool(_deciding(world, woken.status, _decision(1), 1).status)) == ("True", "Available")


def test_a_wake_that_fails_is_told(world: SimulatedKubernetes) -> None:
    woken = _deciding(world, converge(world, DROWSY), _decision(1, Reason.WOKEN), 0)
    world.perform(woken.actions)
    waiting = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no GPU"}
    for pod in world.pods.values():
        if pod["metadata"]["labels"].get(names.LABEL_POOL) == "light":
            pod["status"] = {"phase": "Pending", "conditions": [waiting]}
    after = _deciding(world, woken.status, _decision(1), 1).status
    assert (_ready(_pool(after)), _ready(after)) == (("False", "Unschedulable"), ("False", "PoolNotReady"))


def test_a_new_revision_of_a_sleeping_pool_starts_nothing(world: SimulatedKubernetes) -> None:
    status = converge(world, DROWSY)
    changed_image = changed(DROWSY, "spec.light.template", {"image": "b:1"})
    outcome, _ = step(world, changed_image, status)
    assert not [one for one in outcome.actions if isinstance(one, Scale) and one.replicas > 0]
    world.perform(outcome.actions)
    assert not world.observed().workers("light")
    assert _ready(_pool(converge(world, changed_image, status))) == ("True", "ScaledToZero")


def test_a_sleeping_pool_keeps_its_disruption_budget(world: SimulatedKubernetes) -> None:
    converge(world, DROWSY)
    budget = next(body for ref, body in world.children.items() if ref.name == "shop-light-workers")
    assert budget["spec"]["maxUnavailable"] == 1


def _past(decided: int | None, basis: int | None, reported: int, existing: list[int], *, foreign: bool) -> Past:
    states = [RevisionState(str(number), size, 0, foreign) for number, size in enumerate(existing)]
    decision = None if decided is None else _decision(decided)
    return Past(decision, basis, PoolStatus(name="light", desired_replicas=reported), states)


@pytest.mark.parametrize(
    ("past", "bounds", "size"),
    [
        pytest.param(_past(3, 3, 3, [0], foreign=True), MAY_SLEEP, 0, id="somebody stopped it"),
        pytest.param(_past(None, None, 3, [0], foreign=True), MAY_SLEEP, 0, id="while no operator ran"),
        pytest.param(_past(3, 3, 3, [0], foreign=True), STAYS_UP, 3, id="it must not sleep: undone"),
        pytest.param(_past(3, 3, 3, [1], foreign=True), MAY_SLEEP, 3, id="any other size: undone"),
        pytest.param(_past(3, 3, 3, [0], foreign=False), MAY_SLEEP, 3, id="our own write is late"),
        pytest.param(_past(1, 0, 0, [0], foreign=True), MAY_SLEEP, 1, id="a wake after a manual zero that was lifted"),
        pytest.param(_past(0, 0, 0, [2], foreign=True), MAY_SLEEP, 2, id="somebody woke it"),
        pytest.param(_past(0, 2, 2, [2], foreign=True), MAY_SLEEP, 0, id="the engine lets it sleep"),
        pytest.param(_past(0, 1, 1, [1], foreign=False), MAY_SLEEP, 0, id="the engine lets it sleep, own size"),
        pytest.param(_past(None, None, 0, [0], foreign=False), MAY_SLEEP, 0, id="asleep over a restart"),
    ],
)
def test_whose_word_counts_where_zero_is_a_normal_size(past: Past, bounds: Bounds, size: int) -> None:
    assert desired_size(past, bounds, Pauses()) == size


def test_a_manual_zero_is_told_as_such(world: SimulatedKubernetes) -> None:
    status = converge(world, DROWSY)
    after = _deciding(world, status, _decision(0, Reason.MANUAL_ZERO), 0).status
    assert (_ready(_pool(after)), _ready(after)) == (("False", "ManualZero"), ("False", "PoolNotReady"))
    assert _ready(_pool(step(world, DROWSY, after)[0].status)) == ("False", "ManualZero")  # after a restart, too


@pytest.mark.parametrize(
    ("pauses", "decided", "size"),
    [
        (Pauses(scale_in=True), 2, 4),
        (Pauses(scale_in=True), 6, 6),
        (Pauses(scale_out=True), 6, 4),
        (Pauses(scale_out=True), 2, 2),
        (Pauses(scale_in=True, scale_out=True), 6, 4),
        (Pauses(scale_in=True), 0, 4),
    ],
)
def test_a_direction_may_be_paused(pauses: Pauses, decided: int, size: int) -> None:
    assert desired_size(_past(decided, 4, 4, [4], foreign=False), MAY_SLEEP, pauses) == size


def test_bounds_count_more_than_a_pause() -> None:
    past = _past(9, 4, 4, [4], foreign=False)
    assert desired_size(past, Bounds(6, 8), Pauses(scale_out=True)) == 6
    assert desired_size(past, Bounds(1, 3), Pauses(scale_in=True)) == 3


def test_the_annotation_must_say_true() -> None:
    manifest = two_pools()
    manifest["metadata"]["annotations"] = {
        names.ANNOTATION_PAUSED_SCALE_IN: "true",
        names.ANNOTATION_PAUSED_SCALE_OUT: "yes",
    }
    assert deployment(manifest).pauses == Pauses(scale_in=True)


def _scheduled(minimum: int, maximum: int | None = None) -> dict[str, Any]:
    window = {"name": "night", "start": "00:00", "end": "06:00", "minReplicas": minimum}
    if maximum is not None:
        window["maxReplicas"] = maximum
    return {"minReplicas": 1, "maxReplicas": 4, "schedules": [window]}


@pytest.mark.parametrize(
    ("scaling", "hours", "bounds"),
    [
        (_scheduled(0), 1, Bounds(0, 4)),
        (_scheduled(0), 12, Bounds(1, 4)),
        (_scheduled(24), 1, Bounds(24, 24)),
        (_scheduled(24), 23.5, Bounds(1, 24)),  # the engine may grow before the window opens
        (_scheduled(24), 12, Bounds(1, 4)),
    ],
)
def test_schedules_move_the_bounds(scaling: dict[str, Any], hours: float, bounds: Bounds) -> None:
    pool = deployment(changed(two_pools(), "spec.light.scaling", scaling)).spec.pool("light")
    assert bounds_of(pool.scaling, NOW + timedelta(hours=hours)) == bounds


def _before(reason: Reason, status: ConditionStatus = ConditionStatus.TRUE) -> PoolStatus:
    ready = Condition(
        type="Ready", status=status, reason=reason, message="", last_transition_time="2026-01-01T00:00:00Z"
    )
    return PoolStatus(name="light", conditions=[ready])


@pytest.mark.parametrize(
    ("sizing", "before", "pods", "seconds", "rest"),
    [
        (Sizing(Mode.INTERNAL, 0), None, [], 0, Rest.ASLEEP),
        (Sizing(Mode.EXTERNAL, 0, asked=0), None, [], 0, Rest.ASLEEP),
        (Sizing(Mode.ADVISORY, 0), None, [], 0, Rest.STOPPED),
        (Sizing(Mode.INTERNAL, 0, stopped=True), None, [], 0, Rest.STOPPED),
        (Sizing(Mode.INTERNAL, 1), _before(Reason.SCALED_TO_ZERO), [], 0, Rest.WAKING),
        (Sizing(Mode.INTERNAL, 1), _before(Reason.WOKEN), [worker("a")], 300, Rest.WAKING),
        (Sizing(Mode.INTERNAL, 1), _before(Reason.WOKEN), [worker("a")], 400, Rest.AWAKE),
        (Sizing(Mode.INTERNAL, 1), _before(Reason.WOKEN), [worker("a", ready=5)], 9, Rest.AWAKE),
        (Sizing(Mode.INTERNAL, 1), _before(Reason.WOKEN), [worker("a", room=False)], 9, Rest.AWAKE),
        (Sizing(Mode.INTERNAL, 1), _before(Reason.STARTING, ConditionStatus.FALSE), [], 0, Rest.AWAKE),
        (Sizing(Mode.INTERNAL, 1), _before(Reason.AVAILABLE), [], 0, Rest.AWAKE),
        (Sizing(Mode.INTERNAL, 1), None, [], 0, Rest.AWAKE),
    ],
)
def test_how_a_pool_rests(
    sizing: Sizing, before: PoolStatus | None, pods: list[dict[str, Any]], seconds: float, rest: Rest
) -> None:
    seen = [pod_of(pod) for pod in pods]
    assert rest_of(sizing, before, seen, 120, NOW + timedelta(seconds=seconds)) is rest


@pytest.mark.parametrize(
    ("replicas", "owners", "foreign"),
    [
        (0, [names.FIELD_MANAGER_SCALE], False),
        (0, [names.FIELD_MANAGER], False),  # created asleep
        (0, [], True),  # kubectl scale --replicas=0
        (0, ["kubectl-patch"], True),
        (2, ["kubectl"], True),
        (2, [], True),  # kubectl scale after that
        (2, ["kubectl", names.FIELD_MANAGER_SCALE], False),  # both wrote the same
    ],
)
def test_a_size_without_our_writer_is_somebody_elses(replicas: int, owners: list[str], *, foreign: bool) -> None:
    fields = [{"manager": owner, "fieldsV1": {"f:spec": {"f:replicas": {}}}} for owner in owners]
    metadata = {"name": "shop-light-0", "uid": "u", "managedFields": fields}
    body = {"kind": "Deployment", "metadata": metadata, "spec": {"replicas": replicas}}
    assert sized_by_other(child_of("", body)) is foreign
