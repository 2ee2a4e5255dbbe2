"""Mode Advisory: decisions are told, sizes are left to whoever sets them."""

from dataclasses import replace
from typing import Any

import pytest

from autoglm_api.status import PoolStatus, Reason, Status
from autoglm_operator.core.deployment import condition
from autoglm_operator.core.keys import ChildRef
from autoglm_operator.core.memory import Memory
from autoglm_operator.scaling.model import PoolDecision
from support.manifests import changed, two_pools
from support.simulated_kubernetes import NOW, SimulatedKubernetes, converge, step

ADVICE = PoolDecision(5, Reason.SCALE_UP_LIMIT, "Concurrency", "20 / 4 asks for 5", True, None, NOW)


def _manifest(mode: str = "Advisory") -> dict[str, Any]:
    return changed(two_pools(), "spec.light.scaling", {"mode": mode, "minReplicas": 2, "maxReplicas": 6})


def _light(status: Status) -> PoolStatus:
    return next(pool for pool in status.pools or () if pool.name == "light")


@pytest.fixture
def world() -> SimulatedKubernetes:
    return SimulatedKubernetes()


def _worker(world: SimulatedKubernetes) -> ChildRef:
    return next(ref for ref in world.children if ref.kind == "Deployment" and "light" in ref.name)


def test_a_decision_is_told_and_not_carried_out(world: SimulatedKubernetes) -> None:
    status = converge(world, _manifest())
    outcome, _ = step(world, _manifest(), status, Memory().decided("light", ADVICE))
    assert outcome.actions == ()
    light = _light(outcome.status)
    assert light.last_decision is not None
    assert (light.desired_replicas, light.last_decision.replicas) == (2, 5)
    assert light.last_decision.message == "advice only: 20 / 4 asks for 5"
    active = condition(light.conditions, "ScalingActive")
    assert active is not None
    assert (active.status, active.reason) == ("False", Reason.ADVISORY)


@pytest.mark.parametrize("size", [0, 1, 4, 9])
def test_a_size_that_somebody_set_stays_and_is_what_is_reported(world: SimulatedKubernetes, size: int) -> None:
    status = converge(world, _manifest())
    world.children[_worker(world)]["spec"]["replicas"] = size
    world.perform(())
    status = converge(world, _manifest(), status)
    assert (_light(status).desired_replicas, _light(status).replicas) == (size, size)


def test_a_rollout_keeps_the_size_that_was_set(world: SimulatedKubernetes) -> None:
    status = converge(world, _manifest())
    world.children[_worker(world)]["spec"]["replicas"] = 5
    status = converge(world, _manifest(), status)
    status = converge(world, changed(_manifest(), "spec.light.drainSeconds", 7), status)
    assert (_light(status).desired_replicas, world.ready("light")) == (5, 5)


def test_the_event_of_a_size_that_somebody_set_does_not_give_the_advice_as_its_reason(
    world: SimulatedKubernetes,
) -> None:
    status = converge(world, _manifest())
    memory = Memory().decided("light", ADVICE)
    status = step(world, _manifest(), status, memory)[0].status
    world.children[_worker(world)]["spec"]["replicas"] = 4
    events = step(world, _manifest(), status, memory)[0].events
    assert [event.note for event in events if event.reason == "Scaled"] == ["pool light: 2 -> 4"]


def test_old_advice_is_no_decision_when_the_mode_changes(world: SimulatedKubernetes) -> None:
    status = converge(world, _manifest())
    memory = Memory().decided("light", replace(ADVICE, advisory=True))
    outcome, _ = step(world, _manifest("Internal"), status, memory)
    assert _light(outcome.status).desired_replicas == 2
