import logging
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from autoglm_api.spec import QueryClass
from autoglm_api.status import Reason
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.deployment import DeploymentState, PoolInput, decide_deployment
from autoglm_operator.scaling.journal import Entry, entry_of, line_for, replay
from autoglm_operator.scaling.model import Load, PoolTarget
from autoglm_operator.scaling.readings import Fresh, Problem
from autoglm_operator.shell.prometheus import PrometheusError
from autoglm_operator.shell.scaling_loop import ScalingLoop
from support.scaling_pools import BLIND, fresh_load, half_load, scaling
from support.scaling_times import at, behavior, percent, pods

RULES = scaling(
    1,
    20,
    behavior(
        up={"policies": [pods(3, 5)]},
        down={"stabilizationWindowSeconds": 20, "policies": [percent(50, 15)], "tolerance": "50m"},
    ),
)
LOADS = [fresh_load(0, 5), fresh_load(30, 40.125), BLIND, half_load(Fresh(90_000)), *[fresh_load(0, 7)] * 12]


def recorded(loads: list[Load], budget: int | None = None) -> list[Entry]:
    entries, state, sizes = list[Entry](), DeploymentState(), {"light": 2, "large": 1}
    for tick, load in enumerate(loads):
        pools = {pool: PoolInput(target(pool, size, tick, budget), load) for pool, size in sizes.items()}
        decisions, state = decide_deployment(pools, budget, state, at(5.000001 * tick))
        entries += [Entry(f"shop/assistant/{pool}", *pools[pool], made) for pool, made in decisions.items()]
        sizes = {pool: made.replicas for pool, made in decisions.items()}
    return entries


def target(pool: str, size: int, tick: int, budget: int | None) -> PoolTarget:
    serves = QueryClass.COMPLEX if pool == "large" else QueryClass.SIMPLE
    ready, rolling_out = size - (tick < 3), tick % 7 == 6
    return PoolTarget(RULES, size, ready, rolling_out, serves, gpus_per_replica=1, gpu_budget=budget)


@pytest.mark.parametrize("entry", recorded(LOADS[:5]))
def test_a_line_says_everything(entry: Entry) -> None:
    line = line_for(entry)
    assert "\n" not in line
    assert entry_of(line) == entry


@pytest.mark.parametrize("budget", [None, 7])
def test_a_replay_decides_the_same(budget: int | None) -> None:
    entries = [entry_of(line_for(entry)) for entry in recorded(LOADS, budget)]
    assert len({entry.decision.replicas for entry in entries}) > 2
    assert any(entry.decision.limited is Reason.GPU_BUDGET for entry in entries) == (budget is not None)
    assert [again.decision for again in replay(entries)] == [entry.decision for entry in entries]


def test_deployments_are_replayed_beside_each_other() -> None:
    first = recorded(LOADS)
    second = [replace(entry, pool=entry.pool.replace("assistant", "other")) for entry in recorded(LOADS[2:])]
    entries = [one for pair in zip(first, second, strict=False) for one in pair]
    assert [again.decision for again in replay(entries)] == [entry.decision for entry in entries]


def test_a_changed_policy_can_be_tried_on_history() -> None:
    eager = scaling(1, 20, behavior(up={"policies": [pods(100, 15)]}))
    sizes = [again.decision.replicas for again in replay(recorded(LOADS), eager)]
    assert sizes[2] == 9  # queries in flight are the mean of the last scrapes


def test_what_is_no_entry_is_refused() -> None:
    with pytest.raises(ValueError, match="target"):
        entry_of('{"pool": "shop/assistant/light"}')


class Broken:
    async def read(self, *_: object) -> object:
        raise PrometheusError(Problem.TIMEOUT, "no reply")


async def test_the_loop_writes_the_journal_when_it_is_asked_to(caplog: pytest.LogCaptureFixture) -> None:
    targets = {ObjectKey("shop", "assistant"): {"light": PoolTarget(RULES, 3, 3, rolling_out=False)}}
    loop = ScalingLoop(
        Broken(),  # type: ignore[arg-type]
        lambda: targets,
        lambda *_: None,
        1,
        registry=CollectorRegistry(),
    )
    with caplog.at_level(logging.DEBUG):
        await loop.tick()
        await loop.tick()
    lines = [record.getMessage() for record in caplog.records if record.name.endswith(".journal")]
    entries = [entry_of(line) for line in lines]
    assert [entry.pool for entry in entries] == ["shop/assistant/light"] * 2
    assert [again.decision for again in replay(entries)] == [entry.decision for entry in entries]
