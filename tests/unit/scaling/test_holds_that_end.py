"""No hold lasts for ever: single faults that come again and again must not keep a pool big, or awake."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.history import History, changed, newest_change
from autoglm_operator.scaling.model import PoolSnapshot
from support.scaling_pools import BLIND, fresh_load, scaling, snapshot
from support.scaling_times import at, behavior, percent

TICK = 5
WINDOW = 300


def _size_after(look: Callable[[int], PoolSnapshot], seconds: int, current: int = 8) -> int:
    """Return the size of a pool whose decisions are carried out at once; `look` gets the second."""
    rules = scaling(1, 20, behavior({}, {"stabilizationWindowSeconds": WINDOW, "policies": [percent(100, 15)]}))
    state = PoolState()
    for second in range(0, seconds, TICK):
        seen = look(second)
        found = replace(seen, current=current, ready=min(current, seen.ready))
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
