"""Two pools of one deployment: a shift of the mix of classes, and a GPU budget for both."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from autoglm_api.spec import QueryClass, Scaling
from autoglm_operator.simulate.fluid import simulate_fluid
from autoglm_operator.simulate.generated import noisy
from autoglm_operator.simulate.ours import Ours, ours
from autoglm_operator.simulate.policies import Sizing
from autoglm_operator.simulate.replay import Result, Run
from autoglm_operator.simulate.service import Service
from autoglm_operator.simulate.together import Member, Place, simulate_together
from autoglm_operator.simulate.traces import Rates, queries_for

SERVICE = Service(capacity_tokens=1000.0, startup_seconds=120.0)
RUN = Run(SERVICE, maximum=60, scrape_seconds=5)
SHIFT = 1800
"""The second at which the mix begins to shift, from 15 % Complex to 45 % within five minutes."""
SECONDS = 3000
BUDGET = 30
"""GPUs, one for each replica."""


@cache
def rates(serves: QueryClass) -> Rates:
    """Return a class's part of a steady load of 40 queries/s; the load of both does not change."""
    at = np.arange(SECONDS)
    part = 0.15 + 0.3 * np.clip((at - SHIFT) / 300, 0, 1)
    share = part if serves is QueryClass.COMPLEX else 1 - part
    return noisy(40 * share, np.full(SECONDS, 500.0), np.random.default_rng(len(serves)))


def engine() -> Ours:
    scaling = Scaling(min_replicas=1, max_replicas=60)
    return ours(Sizing(scaling, 1000.0, 8, SERVICE.startup_seconds, tick_seconds=5.0, peak_tokens=0.0))


def members() -> dict[str, Member]:
    return {
        "light": Member(engine(), rates(QueryClass.SIMPLE), RUN, Place(QueryClass.SIMPLE)),
        "large": Member(engine(), rates(QueryClass.COMPLEX), RUN, Place(QueryClass.COMPLEX)),
    }


@cache
def together(budget: int | None = None) -> dict[str, Result]:
    return {name: played.result for name, played in simulate_together(members, budget).items()}


@cache
def large_alone() -> Result:
    return simulate_fluid(rates(QueryClass.COMPLEX), engine, RUN)


def first(condition: np.ndarray) -> int:
    """Return the first second after the shift at which something holds."""
    return SHIFT + int(np.argmax(condition[SHIFT:]))


def grows_at(result: Result) -> int:
    """Return when a third more is asked for than before the shift."""
    return first(result.asked >= 1.3 * result.asked[SHIFT - 1])


def queues_at(result: Result) -> int:
    """Return when more than a second's work waits for ten seconds on end: a burst of a few seconds is no queue."""
    lasts = np.lib.stride_tricks.sliding_window_view(result.queued_tokens, 10).min(axis=1)
    return first(lasts > SERVICE.capacity_tokens * result.ready[:-9])


def test_a_shift_of_the_mix_grows_the_large_pool_before_its_queue_forms() -> None:
    large = together()["large"]
    assert SHIFT < grows_at(large) < queues_at(large)
    assert large.asked[-1] > 1.5 * large.asked[SHIFT - 1]


def test_without_the_mix_the_queue_is_there_first() -> None:
    coupled, alone = together()["large"], large_alone()
    assert queues_at(alone) < grows_at(alone)
    seconds = slice(SHIFT, SHIFT + 900)
    waited, alone_waited = ((one.waits * one.arrived)[seconds].sum() for one in (coupled, alone))
    assert waited < alone_waited / 2
    assert coupled.within[seconds].sum() > alone.within[seconds].sum()
    assert coupled.held[seconds].sum() < 1.1 * alone.held[seconds].sum()


def test_the_load_of_both_being_steady_the_other_pool_gives_back() -> None:
    light = together()["light"]
    assert light.asked[SHIFT:].min() < 0.8 * light.asked[SHIFT - 1]


def test_both_stay_within_their_budget_and_what_one_gives_back_the_other_gets() -> None:
    free, held = (np.sum([one.asked for one in together(budget).values()], axis=0) for budget in (None, BUDGET))
    assert held.max() <= BUDGET < free.max()
    large = together(BUDGET)["large"]
    assert large.asked[-1] > large.asked[SHIFT - 1]


def test_pools_of_unequal_traces_are_refused() -> None:
    short = Rates(np.ones(10), np.ones(10))

    def unequal() -> dict[str, Member]:
        found = members()
        return {**found, "light": replace(found["light"], rates=short)}

    with pytest.raises(ValueError, match="equally long"):
        simulate_together(unequal)


def test_equal_deployments_have_equal_results() -> None:
    again = simulate_together(members)
    assert all(np.array_equal(again[pool].result.asked, one.asked) for pool, one in together().items())


def test_the_request_model_plays_the_pools_together_too() -> None:
    def with_queries() -> dict[str, Member]:
        return {name: drawn(member, number) for number, (name, member) in enumerate(members().items())}

    def drawn(member: Member, seed: int) -> Member:
        queries = queries_for(member.rates, np.random.default_rng(seed))
        return replace(member, queries=queries, rates=queries.rates(SECONDS))

    found = simulate_together(with_queries)
    large = found["large"].result
    assert SHIFT < grows_at(large) < queues_at(large)
    for name, fluid in together().items():
        watch = found[name].watch
        assert watch is not None
        assert np.isfinite(watch.first_tokens).mean() > 0.9
        assert found[name].result.held.sum() == pytest.approx(fluid.held.sum(), rel=0.05)
