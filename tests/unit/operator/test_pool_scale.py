"""Mode External: the object that others write, what is made of it, and what is reported in it."""

from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.status import PoolStatus, Reason, Status
from autoglm_operator.core.deployment import condition
from autoglm_operator.core.keys import ChildRef
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.outcome import Scale
from autoglm_operator.core.pool_scale import selector_of
from autoglm_operator.scaling.model import PoolDecision
from support.manifests import changed, two_pools
from support.simulated_kubernetes import NOW, SimulatedKubernetes, converge, step

SCALE = ChildRef(names.SCALE_KIND, "shop-light")


def _manifest(mode: str = "External", smallest: int = 2) -> dict[str, Any]:
    scaling = {"mode": mode, "minReplicas": smallest, "maxReplicas": 6}
    return changed(two_pools(), "spec.light.scaling", scaling)


def _light(status: Status) -> PoolStatus:
    return next(pool for pool in status.pools or () if pool.name == "light")


def _of(status: Status, kind: str) -> tuple[str, str]:
    found = condition(_light(status).conditions, kind)
    assert found is not None
    return found.status, found.reason


@pytest.fixture
def world() -> SimulatedKubernetes:
    return SimulatedKubernetes()


def _ask(world: SimulatedKubernetes, size: int) -> None:
    world.children[SCALE]["spec"]["replicas"] = size


@pytest.mark.parametrize(
    ("asked", "size", "limited"),
    [
        (4, 4, ("False", Reason.DESIRED_WITHIN_RANGE)),
        (2, 2, ("False", Reason.DESIRED_WITHIN_RANGE)),
        (9, 6, ("True", Reason.TOO_MANY_REPLICAS)),
        (0, 2, ("True", Reason.TOO_FEW_REPLICAS)),
    ],
)
def test_whoever_writes_it_decides_within_the_bounds(
    world: SimulatedKubernetes, asked: int, size: int, limited: tuple[str, str]
) -> None:
    status = converge(world, _manifest())
    _ask(world, asked)
    status = converge(world, _manifest(), status)
    assert (_light(status).desired_replicas, world.ready("light")) == (size, size)
    assert _of(status, "ScalingLimited") == limited
    assert _of(status, "ScalingActive") == ("True", Reason.EXTERNAL)
    decision = _light(status).last_decision
    assert decision is not None
    assert (decision.replicas, decision.reason) == (size, Reason.EXTERNAL)
    assert f"asks for {asked}" in decision.message


def test_it_starts_with_the_size_that_the_pool_has_and_is_not_written_again(world: SimulatedKubernetes) -> None:
    status = converge(world, _manifest("Internal"))
    memory = Memory().decided("light", PoolDecision(5, Reason.AS_EXPECTED, None, "", True, None, NOW))
    world.perform(step(world, _manifest("Internal"), status, memory)[0].actions)
    status = converge(world, _manifest(), status)
    assert world.children[SCALE]["spec"] == {"replicas": 5}
    _ask(world, 3)
    world.children[SCALE]["metadata"]["labels"] = {}
    outcome, _ = step(world, _manifest(), status)
    assert [action for action in outcome.actions if isinstance(action, Scale) and action.ref == SCALE] == []
    world.perform(outcome.actions)
    assert world.children[SCALE]["spec"] == {"replicas": 3}


def test_a_size_of_the_scaling_engine_does_not_count(world: SimulatedKubernetes) -> None:
    status = converge(world, _manifest())
    memory = Memory().decided("light", PoolDecision(6, Reason.AS_EXPECTED, "Concurrency", "", True, None, NOW))
    outcome, _ = step(world, _manifest(), status, memory)
    assert outcome.actions == ()
    assert _light(outcome.status).desired_replicas == 2
    assert outcome.pools["light"].sizing.asked == 2


def test_a_deleted_object_comes_back_with_the_size_that_the_pool_has(world: SimulatedKubernetes) -> None:
    status = converge(world, _manifest())
    world.delete(SCALE)
    memory = Memory().decided("light", PoolDecision(6, Reason.AS_EXPECTED, "Concurrency", "", True, None, NOW))
    world.perform(step(world, _manifest(), status, memory)[0].actions)
    assert world.children[SCALE]["spec"] == {"replicas": 2}


@pytest.mark.parametrize("size", [1, 2])
def test_an_operator_that_died_before_it_gave_the_first_size_gives_it_later(
    world: SimulatedKubernetes, size: int
) -> None:
    status = converge(world, _manifest(smallest=size))
    del world.children[SCALE]["spec"]["replicas"]
    converge(world, _manifest(smallest=size), status)
    assert world.children[SCALE]["spec"] == {"replicas": size}


def test_a_pool_may_sleep_when_its_bounds_allow(world: SimulatedKubernetes) -> None:
    status = converge(world, _manifest(smallest=0))
    _ask(world, 0)
    status = converge(world, _manifest(smallest=0), status)
    assert (world.ready("light"), _of(status, "ScalingLimited")[0]) == (0, "False")
    ready = condition(_light(status).conditions, "Ready")
    assert ready is not None
    assert ready.message == "asleep; whoever writes its AutoGLMPoolScale wakes it"


def test_it_goes_when_the_mode_does(world: SimulatedKubernetes) -> None:
    status = converge(world, _manifest())
    _ask(world, 4)
    status = converge(world, _manifest(), status)
    status = converge(world, _manifest("Internal"), status)
    assert SCALE not in world.children
    assert world.ready("light") == 4


def test_a_foreign_object_of_its_name_is_left_alone_and_reported(world: SimulatedKubernetes) -> None:
    foreign = {"metadata": {"name": "shop-light", "uid": "theirs"}, "kind": names.SCALE_KIND, "spec": {"replicas": 5}}
    world.children[SCALE] = foreign
    status = converge(world, _manifest())
    assert world.children[SCALE] == foreign
    degraded = condition(status.conditions, "Degraded")
    assert degraded is not None
    assert degraded.reason == Reason.NAME_CONFLICT
    assert world.ready("light") == 2


def test_the_report_counts_no_surge_and_selects_the_workers(world: SimulatedKubernetes) -> None:
    status = converge(world, _manifest())
    rolling = changed(_manifest(), "spec.light.drainSeconds", 7)
    world.perform(step(world, rolling, status)[0].actions)
    assert len(world.observed().workers("light")) == 3  # one of them is surge
    (report,) = step(world, rolling, status)[0].reports
    assert (report.ref, report.status.replicas) == (SCALE, 2)
    assert report.status.selector == selector_of("shop", "light")
    wanted = dict(pair.split("=") for pair in report.status.selector.split(","))
    assert all(
        wanted.items() <= pod["metadata"]["labels"].items()
        for pod in world.pods.values()
        if pod["metadata"]["labels"].get(names.LABEL_POOL) == "light"
    )


def test_a_report_that_says_nothing_new_is_not_written(world: SimulatedKubernetes) -> None:
    status = converge(world, _manifest())
    (report,) = step(world, _manifest(), status)[0].reports
    world.children[SCALE]["status"] = report.status.to_json()
    assert step(world, _manifest(), status)[0].reports == ()
