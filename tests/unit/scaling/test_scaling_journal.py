import logging
from collections.abc import Iterable
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from autoglm_api.spec import QueryClass
from autoglm_api.status import Reason
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling import persistence
from autoglm_operator.scaling.deployment import DeploymentState, PoolInput, decide_deployment
from autoglm_operator.scaling.journal import Begun, Dropped, Entry, Record, line_for, record_of, replay
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


def read(lines: Iterable[str]) -> list[Entry]:
    return [record for line in lines if isinstance(record := record_of(line), Entry)]


def target(pool: str, size: int, tick: int, budget: int | None) -> PoolTarget:
    serves = QueryClass.COMPLEX if pool == "large" else QueryClass.SIMPLE
    ready, rolling_out = size - (tick < 3), tick % 7 == 6
    return PoolTarget(RULES, size, ready, rolling_out, serves, gpus_per_replica=1, gpu_budget=budget)


@pytest.mark.parametrize("entry", recorded(LOADS[:5]))
def test_a_line_says_everything(entry: Entry) -> None:
    line = line_for(entry)
    assert "\n" not in line
    assert record_of(line) == entry


@pytest.mark.parametrize("budget", [None, 7])
def test_a_replay_decides_the_same(budget: int | None) -> None:
    entries = read(line_for(entry) for entry in recorded(LOADS, budget))
    assert len({entry.decision.replicas for entry in entries}) > 2
    assert any(entry.decision.limited is Reason.GPU_BUDGET for entry in entries) == (budget is not None)
    assert [again.decision for again in replay(entries)] == [entry.decision for entry in entries]


def continued(state: DeploymentState, loads: list[Load]) -> list[Entry]:
    entries = list[Entry]()
    for tick, load in enumerate(loads, start=100):
        pools = {"light": PoolInput(PoolTarget(RULES, 9, 9, rolling_out=False), load)}
        decisions, state = decide_deployment(pools, None, state, at(5 * tick))
        entries.append(Entry("shop/assistant/light", *pools["light"], decisions["light"]))
    return entries


def same(records: list[Record]) -> bool:
    entries = [record for record in records if isinstance(record, Entry)]
    return [again.decision for again in replay(records)] == [entry.decision for entry in entries]


QUIET = [fresh_load(0, 0)] * 3


def remembered() -> DeploymentState:
    """What has just asked for nine: it keeps the pool from shrinking for 20 s."""
    pool = PoolInput(PoolTarget(RULES, 9, 9, rolling_out=False), fresh_load(0, 54))
    return decide_deployment({"light": pool}, None, DeploymentState(), at(497))[1]


def test_a_replay_takes_up_what_the_operator_took_up_at_its_start() -> None:
    text = persistence.dump(remembered(), at(499))
    state = persistence.load(text, at(499)).state
    assert state is not None
    entries = continued(state, QUIET)
    begun = record_of(line_for(Begun("shop/assistant", at(499), text)))
    other = Begun("shop/other", at(499), text)
    assert same([begun, other, *entries])
    assert [entry.decision for entry in entries] != [entry.decision for entry in continued(DeploymentState(), QUIET)]


@pytest.mark.parametrize("forgets", [Begun("shop/assistant", at(499), ""), Dropped("shop/assistant/light")])
def test_a_replay_forgets_what_the_operator_forgot(forgets: Record) -> None:
    begun = Begun("shop/assistant", at(499), persistence.dump(remembered(), at(499)))
    anew = continued(DeploymentState(), QUIET)
    assert same([begun, record_of(line_for(forgets)), *anew])
    assert not same([begun, Dropped("shop/assistant/large"), *anew]), "the memory matters here"


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
        record_of('{"pool": "shop/assistant/light"}')


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
    entries = read(lines)
    assert [entry.pool for entry in entries] == ["shop/assistant/light"] * 2
    assert [again.decision for again in replay(entries)] == [entry.decision for entry in entries]
