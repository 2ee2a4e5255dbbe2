"""Two writers of one size: who is named, what the pool does meanwhile, and when it is over."""

from datetime import timedelta
from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.spec import Mode
from autoglm_api.status import Reason, Status
from autoglm_operator.core.conflicts import LIMIT, TRUCE, WINDOW
from autoglm_operator.core.deployment import condition
from autoglm_operator.core.keys import ChildRef
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.observed import observe
from autoglm_operator.core.outcome import Outcome
from autoglm_operator.core.pool_target import sighting_of
from autoglm_operator.core.reconcile import reconcile
from autoglm_operator.scaling.model import PoolDecision
from support.manifests import changed, two_pools
from support.simulated_kubernetes import IMAGES, NOW, UID, SimulatedKubernetes, converge, deployment


class Town:
    """A world with a pool `light` of two replicas, and others who write its size."""

    def __init__(self, mode: str = "Internal") -> None:
        self.world = SimulatedKubernetes()
        self.manifest = changed(two_pools(), "spec.light.scaling", {"mode": mode, "minReplicas": 2, "maxReplicas": 6})
        self.status: Status = converge(self.world, self.manifest)
        self.memory = Memory()
        self.now = NOW
        self.autoscalers: list[dict[str, Any]] = []
        self.worker = next(ref for ref in self.world.children if ref.kind == "Deployment" and "light" in ref.name)

    def look(self, after: timedelta = timedelta(seconds=1)) -> Outcome:
        """Reconcile once, without doing anything about it."""
        self.now += after
        observed = observe(UID, self.world.children.values(), self.world.pods.values(), self.autoscalers)
        outcome = reconcile(deployment(self.manifest, self.status), observed, self.memory, self.now, IMAGES)
        self.memory, self.status = outcome.memory, outcome.status
        return outcome

    def reconcile(self, after: timedelta = timedelta(seconds=1)) -> Outcome:
        """Reconcile once and do it, as the operator's scale writer."""
        outcome = self.look(after)
        before = self.size
        self.world.perform(outcome.actions)
        self.world.start()
        if self.size != before:
            self.world.children[self.worker]["metadata"].pop("managedFields", None)
        return outcome

    def scale(self, size: int) -> None:
        """Write the Deployment's size as somebody else."""
        body = self.world.children[self.worker]
        body["spec"]["replicas"] = size
        body["metadata"]["generation"] = body["metadata"].get("generation", 1) + 1
        owned: dict[str, Any] = {"f:spec": {"f:replicas": {}}}
        body["metadata"]["managedFields"] = [{"manager": "kubectl", "fieldsV1": owned, "time": "t"}]

    def autoscale(self, target: ChildRef, kind: str = "HorizontalPodAutoscaler") -> None:
        """Let an autoscaler of that kind target an object."""
        reference = {"kind": target.kind, "name": target.name}
        self.autoscalers = [{"kind": kind, "metadata": {"name": "theirs"}, "spec": {"scaleTargetRef": reference}}]

    @property
    def size(self) -> int:
        """What the Deployment asks for."""
        return int(self.world.children[self.worker]["spec"]["replicas"])

    @property
    def conflict(self) -> str:
        """The message of ScalingConflict=True, or nothing."""
        pool = next(one for one in self.status.pools or () if one.name == "light")
        found = condition(pool.conditions, "ScalingConflict")
        return found.message if found is not None and found.status == "True" else ""


@pytest.mark.parametrize("mode", ["Internal", "External", "Advisory"])
@pytest.mark.parametrize("kind", ["HorizontalPodAutoscaler", "ScaledObject"])
def test_an_autoscaler_of_a_worker_deployment_is_named(mode: str, kind: str) -> None:
    town = Town(mode)
    town.autoscale(town.worker, kind)
    outcome = town.look()
    assert town.conflict.startswith(f"{kind} theirs scales {town.worker}: ")
    target = sighting_of(outcome.pools["light"], town.world.observed()).target
    assert (target.conflict, target.mode) == (town.conflict, Mode.ADVISORY)
    assert [event.reason for event in outcome.events if event.warning] == [Reason.SCALING_CONFLICT]
    town.autoscalers = []
    outcome = town.look()
    assert (town.conflict, outcome.pools["light"].sizing.mode) == ("", Mode(mode))
    assert [event.reason for event in outcome.events] == [Reason.NO_CONFLICT]


@pytest.mark.parametrize(("mode", "conflict"), [("Internal", True), ("Advisory", True), ("External", False)])
def test_an_autoscaler_of_the_pool_scale_is_one_only_where_the_pool_does_not_follow_it(
    mode: str, *, conflict: bool
) -> None:
    town = Town(mode)
    town.autoscale(ChildRef(names.SCALE_KIND, "shop-light"))
    town.look()
    assert bool(town.conflict) is conflict


@pytest.mark.parametrize(
    "target",
    [
        ChildRef("Deployment", "shop-gateway"),
        ChildRef("Deployment", "shop-light-00000000"),  # no such revision any more
        ChildRef("StatefulSet", "shop-light"),
        ChildRef(names.SCALE_KIND, "shop-medium"),
    ],
)
def test_other_autoscalers_are_none_of_our_business(target: ChildRef) -> None:
    town = Town()
    town.autoscale(target)
    town.look()
    assert town.conflict == ""


def test_a_conflict_leaves_the_size_to_the_other_writer_even_out_of_bounds() -> None:
    town = Town()
    town.autoscale(town.worker)
    town.memory = town.memory.decided("light", PoolDecision(5, Reason.AS_EXPECTED, None, "", True, None, NOW))
    for size in (4, 1, 9):
        town.scale(size)
        assert town.reconcile().actions == ()
        assert town.size == size


def test_a_size_set_now_and_then_is_undone() -> None:
    town = Town()
    for _ in range(2 * LIMIT):
        town.scale(1)
        town.reconcile(WINDOW)
        assert (town.size, town.conflict) == (2, "")


def test_a_writer_that_does_not_give_up_gets_a_truce() -> None:
    town = Town()
    for _ in range(LIMIT - 1):
        town.scale(1)
        town.reconcile()
        assert (town.size, town.conflict) == (2, "")
    town.scale(1)
    outcome = town.reconcile()
    assert 'field manager "kubectl" keeps changing the replicas' in town.conflict
    assert (town.size, outcome.requeue_after) == (1, TRUCE)
    town.scale(4)
    town.reconcile(TRUCE / 2)  # another change: the truce begins anew
    town.reconcile(TRUCE - timedelta(seconds=1))
    assert (town.size, bool(town.conflict)) == (4, True)
    town.reconcile()
    assert town.conflict == ""


def test_one_change_that_is_seen_often_counts_once() -> None:
    town = Town()
    town.scale(1)
    for _ in range(2 * LIMIT):
        town.look()
    assert town.conflict == ""


def test_a_size_that_we_accept_is_no_dispute() -> None:
    town = Town()
    town.scale(4)  # nothing is decided, so growing is held
    for _ in range(2 * LIMIT):
        town.reconcile()
        body = town.world.children[town.worker]["metadata"]
        body["generation"] += 1  # our own repairs count it up, too
    assert (town.size, town.conflict) == (4, "")


def test_an_autoscaler_s_writes_are_no_dispute_that_outlives_it() -> None:
    town = Town()
    town.autoscale(town.worker)
    for size in (1, 3, 1, 3):
        town.scale(size)
        town.reconcile()
    town.autoscalers = []
    town.reconcile()
    assert town.conflict == ""
