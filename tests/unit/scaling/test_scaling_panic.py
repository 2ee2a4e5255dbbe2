from datetime import timedelta

import pytest

from autoglm_operator.scaling.panic import Burst, PanicState, after
from support.scaling_times import at

HOLD = timedelta(seconds=120)


def seen(
    burst: Burst | None, state: PanicState | None = None, *, ready: int = 4, supply: int = 4, times: int = 2
) -> bool:
    state = state or PanicState()
    for second in range(times):
        state = after(state, burst, ready=ready, supply=supply, hold=HOLD, now=at(5 * second))
    return state.until is not None


@pytest.mark.parametrize(
    ("needs", "ready", "supply", "waits", "panics"),
    [
        (8.0, 4, 4, False, True),
        (7.9, 4, 4, False, False),
        (8.0, 4, 9, False, False),  # what starts will carry it
        (10.0, 4, 8, False, True),
        (5.1, 4, 4, True, True),
        (5.0, 4, 4, True, False),
        (2.0, 0, 0, False, True),
        (1.0, 0, 0, False, False),
    ],
)
def test_what_a_burst_is(needs: float, ready: int, supply: int, waits: bool, panics: bool) -> None:  # noqa: FBT001
    assert seen(Burst(needs, 12, waits), ready=ready, supply=supply) is panics


def test_one_look_is_not_enough() -> None:
    assert not seen(Burst(99.0, 99, waits=True), times=1)
    assert not seen(None)


def test_panic_lasts_a_startup_time_beyond_the_burst_and_keeps_its_largest_size() -> None:
    state = PanicState()
    for second, size in ((0, 9), (5, 12), (10, 10)):
        state = after(state, Burst(9.0, size, waits=False), ready=4, supply=4, hold=HOLD, now=at(second))
    assert (state.size, state.until) == (12, at(130))
    over = after(state, None, ready=4, supply=12, hold=HOLD, now=at(129))
    assert over.until == at(130)
    assert after(over, None, ready=12, supply=12, hold=HOLD, now=at(130)) == PanicState()


def test_quick_starters_still_hold_for_a_stable_window() -> None:
    state = PanicState(seen=1)
    state = after(state, Burst(9.0, 9, waits=False), ready=4, supply=4, hold=timedelta(seconds=5), now=at(0))
    assert state.until == at(60)
