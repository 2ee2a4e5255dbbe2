"""No hold lasts for ever: single faults that come again and again must not keep a pool big, or awake."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from autoglm_api.spec import Signal, SignalType
from autoglm_api.status import Reason
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.history import History, changed, newest_change
from autoglm_operator.scaling.model import Load, PoolSnapshot
from autoglm_operator.scaling.readings import Fresh
from autoglm_operator.scaling.zero import ZeroState, slumber
from support.scaling_pools import BLIND, fresh_load, scaling, snapshot
from support.scaling_times import at, behavior, percent

TICK = 5
WINDOW = 300


def _size_after(look: Callable[[int], PoolSnapshot], seconds: int, current: int = 8, step: int = 100) -> int:
    """Return the size of a pool whose decisions are carried out at once; `look` gets the second."""
    rules = scaling(1, 20, behavior({}, {"stabilizationWindowSeconds": WINDOW, "policies": [percent(step, 60)]}))
    state = PoolState()
    for second in range(0, seconds, TICK):
        seen = look(second)
        found = replace(seen, current=current, ready=seen.ready - 8 + current)
        decision, state = decide(found, rules, state, at(second))
        current = decision.replicas
    return current


@pytest.mark.parametrize("every", [100, 250, 300])
def test_one_lost_scrape_in_every_window_does_not_keep_a_pool_big(every: int) -> None:
    low = snapshot(8, fresh_load(in_flight=6))
    assert _size_after(lambda second: replace(low, load=BLIND) if second % every == 50 else low, 3 * WINDOW) == 1


def test_a_short_gap_still_holds_the_size_while_it_lasts() -> None:
    low, wide = snapshot(8, fresh_load(in_flight=6)), snapshot(8, fresh_load(in_flight=44))

    def look(second: int) -> PoolSnapshot:
        if second < 100:
            return wide
        return low if second < WINDOW + 80 else replace(low, load=BLIND)

    assert _size_after(look, WINDOW + 130) == 8


def test_a_gap_longer_than_a_minute_still_starts_a_window() -> None:
    low = snapshot(8, fresh_load(in_flight=6))
    assert _size_after(lambda s: replace(low, load=BLIND) if 200 <= s < 270 else low, 270 + WINDOW - 20) == 8


def test_the_newest_growth_counts_wherever_it_is_kept() -> None:
    long = timedelta(seconds=1800)
    history = History()
    for second in (0, 1790, 1801):  # the last takes the place of the first
        history = changed(history, before=1, after=2, at=at(second), longest_up=long, longest_down=long)
    assert newest_change(history.grown) == at(1801)


def test_a_replica_that_fails_over_and_over_does_not_keep_a_pool_big() -> None:
    low = snapshot(8, fresh_load(in_flight=6))
    assert _size_after(lambda s: replace(low, ready=8 if s % 280 == 0 else 7), 1200, step=10) <= 3


def test_a_replica_that_fails_after_a_long_time_holds_the_size_again() -> None:
    wide, low = snapshot(8, fresh_load(in_flight=44)), snapshot(8, fresh_load(in_flight=6))

    def look(second: int) -> PoolSnapshot:
        seen = wide if second < 1100 else low
        return replace(seen, ready=8 if 100 <= second < 1380 else 7)

    assert _size_after(look, 1100 + WINDOW + 100) == 8


@pytest.mark.parametrize(("idle", "manual"), [(590, True), (610, False)])
def test_a_sleep_that_was_due_when_the_operator_died_is_no_persons_word(idle: int, *, manual: bool) -> None:
    rules = scaling(0, 4)
    silence = Load(Fresh(0), Fresh(0), offered_tokens=Fresh(0))
    _, state = slumber(1, silence, rules, 0, ZeroState(), at(0))  # the last that was kept
    sleep, _ = slumber(0, Load(Fresh(1000), Fresh(0)), rules, 0, state, at(idle))
    assert sleep.reason == (Reason.MANUAL_ZERO if manual else Reason.WOKEN)


def test_a_full_cache_shrinks_no_pool_whose_other_replicas_are_not_ready() -> None:
    rules = scaling(1, 20, signals=[Signal(type=SignalType.KV_CACHE_USE)], panic="Disabled")
    full = replace(fresh_load(), signals={"KVCacheUse": Fresh(100_000)})
    state = PoolState()
    for second in range(0, 1200, TICK):
        decision, state = decide(snapshot(8, full, ready=1), rules, state, at(second))
    assert decision.replicas >= 8, decision
