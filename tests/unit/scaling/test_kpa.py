from dataclasses import replace
from datetime import timedelta

import pytest

from autoglm_operator.scaling.kpa.decide import Memory, Profile, activators, decide, started
from autoglm_operator.scaling.kpa.window import Bucket, recorded, window_average
from support.scaling_times import at

TEN = Profile(target=10.0, total=10.0)


def every_second(first: int, last: int, value: float) -> list[Bucket]:
    return [Bucket(second, value) for second in range(first, last + 1)]


AVERAGES = [
    # buckets, now, window -> average
    ([], 10, 6, None),
    (every_second(1, 3, 6), 3, 6, 6.0),  # three seconds of data: over three seconds
    (every_second(1, 20, 6), 20, 6, 6.0),
    ([Bucket(1, 6), Bucket(4, 6)], 4, 6, 3.0),  # a short gap is zeros
    ([Bucket(1, 9), Bucket(7, 6)], 7, 6, 6.0),  # a whole window of silence starts anew
    (every_second(1, 20, 6), 22, 6, 6.0),  # what is not known yet is left out
    (every_second(1, 20, 6), 26, 6, 0.0),
    (every_second(1, 20, 6), 27, 6, None),
    ([Bucket(5, 1), Bucket(6, 0), Bucket(7, 0)], 7, 6, 0.333333),  # floored to six digits
    ([Bucket(1, 12), *every_second(2, 7, 6)], 7, 6, 6.0),
]


@pytest.mark.parametrize(("buckets", "now", "window", "average"), AVERAGES)
def test_window_average(buckets: list[Bucket], now: int, window: int, average: float | None) -> None:
    assert window_average(buckets, now, window) == average


def test_the_maximum_of_a_delay_window() -> None:
    maxima: tuple[Bucket, ...] = ()
    seen = []
    for index, value in enumerate([5, 3, 4, 1, 1, 1, 2]):
        maxima = recorded(maxima, index, value, 3)
        seen.append(maxima[0].value)
    assert seen == [5, 5, 5, 4, 4, 1, 2]


def test_the_same_tick_keeps_the_larger_value() -> None:
    assert recorded((Bucket(3, 7.0),), 3, 5.0, 4) == (Bucket(3, 7.0),)


SIZES = [
    # stable, panic, ready, profile -> size, panics
    (30, 30, 3, TEN, 3, False),
    (31, 31, 3, TEN, 4, False),
    (0, 0, 10, TEN, 5, False),  # at most halved
    (0, 0, 0, TEN, 0, False),  # floor(1 / 2)
    (0, 0, 10, replace(TEN, reachable=False), 0, False),
    (59, 59, 3, TEN, 6, True),  # six wanted for three: panic at 200 %
    (10, 50, 3, TEN, 1, False),
    (10, 51, 3, TEN, 6, True),
    (80, 70, 3, TEN, 8, True),  # in panic the larger of both
    (999, 999, 0, replace(TEN, max_scale_up_rate=10.0), 10, True),
    (15, 15, 3, replace(TEN, max_scale_up_rate=1.0, max_scale_down_rate=1.1), 2, False),
    (5, 5, 3, replace(TEN, activation_scale=4), 4, False),
    (0, 0, 3, replace(TEN, activation_scale=4), 1, False),
]


@pytest.mark.parametrize(("stable", "panic", "ready", "profile", "size", "panics"), SIZES)
def test_sizes(stable: float, panic: float, ready: int, profile: Profile, size: int, *, panics: bool) -> None:
    scale, _ = decide(stable, panic, ready, profile, Memory(), at(0))
    assert (scale.size, scale.panicking) == (size, panics)


def test_panic_never_shrinks_and_ends_a_stable_window_after_the_last_excess() -> None:
    _, memory = decide(60, 60, 3, TEN, Memory(), at(0))
    held, memory = decide(10, 10, 6, TEN, memory, at(60))
    left, memory = decide(10, 10, 6, TEN, memory, at(60.001))
    assert (held.size, held.panicking) == (6, True)
    assert (left.size, left.panicking) == (3, False)
    assert memory == Memory()


def test_an_excess_prolongs_the_panic() -> None:
    _, memory = decide(60, 60, 3, TEN, Memory(), at(0))
    _, memory = decide(60, 130, 6, TEN, memory, at(50))
    scale, _ = decide(10, 10, 6, TEN, memory, at(100))
    assert (scale.size, scale.panicking) == (13, True)


def test_a_restart_holds_more_than_one_pod() -> None:
    assert started(1, at(0)) == Memory(None, 1)
    scale, _ = decide(0, 0, 8, TEN, started(8, at(0)), at(2))
    assert (scale.size, scale.panicking) == (8, True)


def test_no_data_keeps() -> None:
    scale, memory = decide(None, 3.0, 8, TEN, Memory(), at(0))
    assert (scale.size, memory) == (None, Memory())


def test_scale_down_is_delayed() -> None:
    profile = replace(TEN, scale_down_delay=timedelta(seconds=6))
    memory, sizes = Memory(), []
    for tick, load in enumerate([40, 20, 20, 20, 20]):
        scale, memory = decide(load, load, 4, profile, memory, at(2 * tick))
        sizes.append(scale.size)
    assert sizes == [4, 4, 4, 2, 2]


@pytest.mark.parametrize(
    ("ready", "panic", "burst", "capacity"),
    [(10, 50.5, 211.0, -162), (50, 50.5, 211.0, 238), (10, 50, 0.0, 0), (10, 50, -1.0, -1)],
)
def test_excess_burst_capacity(ready: int, panic: float, burst: float, capacity: float) -> None:
    profile = replace(TEN, target_burst_capacity=burst)
    assert decide(panic, panic, ready, profile, Memory(), at(0))[0].excess_burst_capacity == capacity


@pytest.mark.parametrize(("ready", "count"), [(0, 3), (10, 4), (100, 13)])
def test_activators(ready: int, count: int) -> None:
    assert activators(ready, TEN) == count
