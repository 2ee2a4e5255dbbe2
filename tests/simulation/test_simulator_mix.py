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
from autoglm_operator.simulate.traces import Rates

SERVICE = Service(capacity_tokens=1000.0, startup_seconds=120.0)
RUN = Run(SERVICE, maximum=60, scrape_seconds=5)
SHIFT = 1800
"""The second at which the mix begins to shift, from 15 % Complex to 60 % within two minutes."""
SECONDS = 3600


@cache
def rates(serves: QueryClass) -> Rates:
    """Return a class's part of a steady load of 40 queries/s; the load of both does not change."""
    at = np.arange(SECONDS)
    part = 0.15 + 0.45 * np.clip((at - SHIFT) / 120, 0, 1)
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
    return simulate_together(members, budget)


@cache
def large_alone() -> Result:
    return simulate_fluid(rates(QueryClass.COMPLEX), engine, RUN)


def first(condition: np.ndarray) -> int:
    """Return the first second after the shift at which something holds."""
    return SHIFT + int(np.argmax(condition[SHIFT:]))


def test_a_shift_of_the_mix_grows_the_large_pool_before_its_queue_forms() -> None:
    """A queue: for ten seconds on end more than a second's work waits; a burst of a few seconds is none."""
    large = together()["large"]
    lasts = np.lib.stride_tricks.sliding_window_view(large.queued_tokens, 10).min(axis=1)
    queue = first(lasts > SERVICE.capacity_tokens * large.ready[:-9])
    assert large.asked[SHIFT - 1] < 10
    assert first(large.asked >= 2 * large.asked[SHIFT - 1]) < queue


def test_the_mix_tells_sooner_than_the_pools_own_load() -> None:
    coupled, alone = together()["large"], large_alone()
    seconds = slice(SHIFT, SHIFT + 600)
    sooner = [first(one.asked >= 2 * one.asked[SHIFT - 1]) for one in (coupled, alone)]
    assert sooner[0] + 10 <= sooner[1]
    assert (coupled.waits * coupled.arrived)[seconds].sum() < 0.8 * (alone.waits * alone.arrived)[seconds].sum()
    assert coupled.within[seconds].sum() > alone.within[seconds].sum()
    assert coupled.held[seconds].sum() < alone.held[seconds].sum(), "what comes late comes too large"


def test_the_load_of_both_being_steady_the_other_pool_gives_back() -> None:
    light = together()["light"]
    assert light.asked[-1] < 0.8 * light.asked[SHIFT - 1]


@pytest.mark.parametrize("budget", [24, 30])
def test_both_stay_within_their_budget(budget: int) -> None:
    results = together(budget)
    taken = np.sum([result.asked for result in results.values()], axis=0)
    assert taken.max() <= budget
    assert results["large"].asked[-1] > results["large"].asked[SHIFT - 1]


def test_pools_of_unequal_traces_are_refused() -> None:
    short = Rates(np.ones(10), np.ones(10))

    def unequal() -> dict[str, Member]:
        found = members()
        return {**found, "light": replace(found["light"], rates=short)}

    with pytest.raises(ValueError, match="equally long"):
        simulate_together(unequal)


def test_equal_deployments_have_equal_results() -> None:
    again = simulate_together(members)
    assert all(np.array_equal(again[pool].asked, one.asked) for pool, one in together().items())
