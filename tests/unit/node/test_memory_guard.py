from functools import reduce

import pytest

from autoglm_node.memory_guard import Guard, Level, Use, long_seats


def after(*shares: float) -> Level:
    return reduce(lambda guard, share: guard.after(Use(host=share)), shares, Guard()).level


@pytest.mark.parametrize(
    ("shares", "level"),
    [
        ([0.79] * 60, Level.CALM),
        ([0.80] * 2, Level.CALM),
        ([0.80, 0.80, 0.79, 0.80, 0.80], Level.CALM),
        ([0.80] * 3, Level.RECLAIM),
        ([0.80] * 3 + [0.71] * 60, Level.RECLAIM),
        ([0.80] * 3 + [0.70], Level.CALM),
        ([0.80] * 6, Level.SMALL_ONLY),
        ([0.80] * 6 + [0.75] * 60, Level.SMALL_ONLY),
        ([0.92], Level.SHED),
        ([0.92, 0.85], Level.SHED),
        ([0.92, 0.84], Level.SMALL_ONLY),
        ([0.84, 0.91], Level.CALM),
        ([0.99, 0.60], Level.CALM),
        ([0.95] * 2, Level.SHED),
        ([0.95] * 3, Level.RECYCLE),
        ([0.95, 0.95, 0.94, 0.95, 0.95], Level.SHED),
    ],
)
def test_levels(shares: list[float], level: Level) -> None:
    assert after(*shares) is level


def test_no_limit_no_pressure() -> None:
    assert Guard(Level.SHED, 9, 2).after(Use()) == Guard()


def test_a_full_gpu_pool_is_a_signal_but_no_reason_to_refuse_or_recycle() -> None:
    guard = reduce(lambda guard, _: guard.after(Use(host=0.2, device=1.0)), range(60), Guard())
    assert guard.level is Level.SMALL_ONLY


@pytest.mark.parametrize(("cap", "level", "seats"), [(8, Level.RECLAIM, 8), (8, Level.SHED, 4), (1, Level.SHED, 1)])
def test_long_prompts_under_pressure(cap: int, level: Level, seats: int) -> None:
    assert long_seats(cap, level) == seats
