from dataclasses import replace

import pytest

from autoglm_api.spec import Mode, QueryClass
from autoglm_api.status import Reason
from autoglm_operator.scaling.budget import Ask, within_budget
from autoglm_operator.scaling.coupling import coupled
from autoglm_operator.scaling.deployment import (
    DeploymentState,
    PoolInput,
    apart,
    budgeted,
    decide_deployment,
    inputs_for,
)
from autoglm_operator.scaling.model import NOT_READ, Load, PoolDecision, PoolTarget
from autoglm_operator.scaling.readings import Fresh
from support.scaling_pools import fresh_load, scaling
from support.scaling_times import at, behavior, pods

FAST = behavior(up={"policies": [pods(100, 1)]})


def offered(long: int, short: int) -> Load:
    return Load(NOT_READ, NOT_READ, offered_tokens=Fresh(long), offered_tokens_now=Fresh(short))


def shifted(light: Load, large: Load) -> tuple[int, int]:
    loads = coupled({"light": light, "large": large})
    figures = [loads[pool].offered_tokens for pool in ("light", "large")]
    assert all(isinstance(figure, Fresh) for figure in figures)
    return tuple(figure.milli for figure in figures)  # type: ignore[return-value, union-attr]


@pytest.mark.parametrize(
    ("light", "large", "expected"),
    [
        ((800, 800), (200, 200), (800, 200)),
        ((800, 500), (200, 500), (800, 500)),  # the mix has shifted: the large pool hears of it now, none is lowered
        ((800, 1600), (200, 400), (800, 200)),  # a burst of everything is no shift of the mix
        ((800, 1000), (200, 1000), (800, 500)),  # both: the shift of the mean, and panic is for the burst
        ((800, 100), (200, 200), (800, 200)),  # never more than the pool's own short rate
        ((0, 0), (0, 0), (0, 0)),
    ],
)
def test_a_shift_of_the_mix_raises_the_growing_pool(
    light: tuple[int, int], large: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert shifted(offered(*light), offered(*large)) == expected


def test_a_mix_that_is_known_in_part_is_none() -> None:
    unknown = replace(offered(800, 100), offered_tokens_now=NOT_READ)
    loads = {"light": unknown, "large": offered(200, 900)}
    assert coupled(loads) == loads
    assert coupled({"large": offered(200, 900)}) == {"large": offered(200, 900)}


def ask(pool: str, wanted: int, **fields: object) -> Ask:
    standard: dict[str, object] = {"weight": 1, "gpus_per_replica": 1, "current": 1, "minimum": 1}
    serves = {"large": QueryClass.COMPLEX, "vectors": QueryClass.EMBEDDING}.get(
        pool.split("-", maxsplit=1)[0], QueryClass.SIMPLE
    )
    return Ask(pool, serves, wanted=wanted, **{**standard, **fields})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asks", "gpus", "sizes"),
    [
        ([ask("light", 3), ask("large", 3)], 6, (3, 3)),
        ([ask("light", 3), ask("large", 3)], 4, (1, 3)),  # large first
        ([ask("light", 3), ask("large", 3)], 1, (0, 1)),
        ([ask("light", 5, current=5), ask("large", 3)], 6, (5, 1)),  # nobody shrinks for another's growth
        ([ask("light", 5, current=5), ask("large", 3, current=3)], 6, (3, 3)),  # unless there is no room for all
        ([ask("light", 9), ask("large", 2, gpus_per_replica=4)], 10, (2, 2)),
        ([ask("light", 9), ask("large", 9, gpus_per_replica=4)], 7, (3, 1)),  # no part of a replica
        ([ask("light", 9, gpus_per_replica=0), ask("large", 3)], 2, (9, 2)),
        ([ask("large-a", 9, weight=2), ask("large-b", 9)], 6, (4, 2)),
        ([ask("vectors", 9), ask("light", 9), ask("large", 1)], 6, (1, 4, 1)),  # vectors last
        ([ask("light", 0, current=4), ask("large", 9)], 4, (0, 4)),  # what is given up can be had
    ],
)
def test_gpus_go_to_the_minimum_then_to_what_runs_then_to_growth(
    asks: list[Ask], gpus: int, sizes: tuple[int, ...]
) -> None:
    assert tuple(within_budget(asks, gpus).values()) == sizes


def target(current: int = 2, **fields: object) -> PoolTarget:
    standard: dict[str, object] = {"gpus_per_replica": 1}
    return PoolTarget(scaling(1, 20, FAST), current, current, rolling_out=False, **{**standard, **fields})  # type: ignore[arg-type]


def decided(budget: int | None, **pools: PoolInput) -> dict[str, PoolDecision]:
    return decide_deployment(pools, budget, DeploymentState(), at(0))[0]


BUSY = fresh_load(in_flight=60)
LARGE = target(serves=QueryClass.COMPLEX)


def test_pools_are_decided_each_on_its_own_load() -> None:
    decisions = decided(None, light=PoolInput(target(), BUSY), large=PoolInput(LARGE, fresh_load(in_flight=12)))
    assert {pool: decision.replicas for pool, decision in decisions.items()} == {"light": 10, "large": 2}


def test_the_budget_cuts_and_says_so() -> None:
    decisions = decided(12, light=PoolInput(target(), BUSY), large=PoolInput(LARGE, BUSY))
    assert (decisions["large"].replicas, decisions["large"].limited) == (10, None)
    cut = decisions["light"]
    assert (cut.replicas, cut.reason, cut.limited) == (2, Reason.GPU_BUDGET, Reason.GPU_BUDGET)
    assert cut.message.endswith("gpuBudget of 12 allows 2: stays at 2")


def test_pools_that_others_size_get_advice_and_keep_what_they_have() -> None:
    held = target(5, conflict="an HPA")
    external = replace(target(3), scaling=scaling(1, 20, FAST, mode=Mode.EXTERNAL))
    decisions = decided(12, light=PoolInput(held, BUSY), other=PoolInput(external, BUSY), large=PoolInput(LARGE, BUSY))
    assert [decisions[pool].advisory for pool in ("light", "other", "large")] == [True, True, False]
    assert [decisions[pool].replicas for pool in ("light", "other", "large")] == [10, 10, 4]


def test_a_pool_that_is_gone_is_forgotten() -> None:
    both = inputs_for({"light": target(), "large": LARGE}, {"light": BUSY, "large": BUSY})
    _, state = decide_deployment(both, None, DeploymentState(), at(0))
    assert set(state.pools) == {"light", "large"}
    _, state = decide_deployment({"light": both["light"]}, None, state, at(5))
    assert set(state.pools) == {"light"}


def test_pools_that_are_decided_apart_leave_the_others_their_gpus() -> None:
    """A pool that is woken between two ticks must not be given what another one got a second ago."""
    pools = {"light": target(0), "large": target(3, serves=QueryClass.COMPLEX, gpus_per_replica=2)}
    (name, alone), *rest = apart(pools, {"light"}, sizes={"large": 4}).items()
    assert (name, rest, alone.gpus_elsewhere) == ("light", [], 8)
    assert decided(12, light=PoolInput(replace(alone, current=1), BUSY))["light"].replicas == 4
    assert apart(pools, pools, sizes={})["large"].gpus_elsewhere == 0


def test_a_pool_without_a_decision_keeps_its_gpus() -> None:
    pools = {"light": PoolInput(target(), BUSY), "odd": PoolInput(target(5), BUSY), "large": PoolInput(LARGE, BUSY)}
    made = decided(None, light=pools["light"], large=pools["large"])
    cut = budgeted(pools, made, 12)
    assert {name: one.replicas for name, one in cut.items()} == {"light": 2, "large": 5}
    assert {one.limited for one in cut.values()} == {Reason.GPU_BUDGET}
