"""What the scaling engine is told of a pool."""

from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.spec import QueryClass
from autoglm_api.status import Reason, Status
from autoglm_operator.core.observed import Observed, observe
from autoglm_operator.core.pool_target import sighting_of
from autoglm_operator.core.refused_pods import pods_refused
from autoglm_operator.scaling.model import PoolTarget
from support.manifests import changed, two_pools
from support.scaling_pools import BLIND
from support.simulated_kubernetes import UID, SimulatedKubernetes, step
from support.worker_pods import at, stamp, worker


def _failing(replicas: int, message: str = "exceeded quota: few") -> dict[str, Any]:
    failure = {"type": "ReplicaFailure", "status": "True", "message": message, "lastTransitionTime": stamp(5)}
    labels = {names.LABEL_POOL: "light", names.LABEL_REVISION: "aaaa1111"}
    owner = {"uid": UID, "controller": True}
    return {
        "kind": "Deployment",
        "metadata": {"name": "shop-light-aaaa1111", "uid": "u", "labels": labels, "ownerReferences": [owner]},
        "spec": {"replicas": replicas},
        "status": {"conditions": [failure]},
    }


def _target(observed: Observed, seconds: float = 0) -> PoolTarget:
    manifest = changed(changed(two_pools(), "spec.light.weight", 3), "spec.gpuBudget", 16)
    plan = step(SimulatedKubernetes(), manifest, Status())[0].pools["light"]
    return sighting_of(plan, observed).at(at(seconds), (7.0,))


def test_a_target_carries_what_the_spec_says() -> None:
    target = _target(Observed())
    assert (target.serves, target.weight, target.became_ready) == (QueryClass.SIMPLE, 3, (7.0,))
    assert (target.gpu_budget, target.gpus_per_replica) == (16, 0)
    assert (target.unschedulable, target.unschedulable_seconds) == (0, 0.0)


def test_replicas_without_a_node_are_counted_with_the_wait_of_the_first() -> None:
    pods = [worker("a", created=0, room=False), worker("b", created=30, room=False), worker("c", ready=9)]
    target = _target(observe(UID, [], pods), seconds=100)
    assert (target.unschedulable, target.unschedulable_seconds) == (2, 100.0)


def test_replicas_that_may_not_be_created_count_as_without_room() -> None:
    target = _target(observe(UID, [_failing(5)], [worker("a", ready=9)]), seconds=65)
    assert (target.unschedulable, target.unschedulable_seconds) == (4, 60.0)


@pytest.mark.parametrize(
    ("children", "reason"),
    [
        ([_failing(5)], Reason.QUOTA),
        ([_failing(5, "violates PodSecurity")], Reason.API_REFUSED),
        ([_failing(1)], Reason.INSUFFICIENT_GPU),  # as many as are allowed exist: what waits, waits for a node
        ([], Reason.INSUFFICIENT_GPU),
    ],
)
def test_what_keeps_replicas_out_is_told_to_the_engine(children: list[dict[str, Any]], reason: Reason) -> None:
    pods = [worker("a", ready=9), worker("b", room=False)]
    target = _target(observe(UID, children, pods))
    assert (target.no_room, target.snapshot(BLIND).no_room) == (reason, reason)


@pytest.mark.parametrize(
    ("message", "reason"),
    [('pods "x" is forbidden: exceeded quota: few', Reason.QUOTA), ("violates PodSecurity", Reason.API_REFUSED)],
)
def test_a_quota_is_told_from_other_refusals(message: str, reason: Reason) -> None:
    refused = pods_refused(observe(UID, [_failing(2, message)], []), "light")
    assert refused is not None
    assert (refused.count, refused.reason) == (2, reason)
