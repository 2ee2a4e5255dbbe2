from dataclasses import replace
from datetime import timedelta

import pytest

from autoglm_operator.scaling.kpa.decide import Memory, Profile, activators, decide, started
from autoglm_operator.scaling.kpa.window import (
    Averages,
    Bucket,
    averages,
    exponential_average,
    panic_window,
    recorded,
    window_average,
)
from autoglm_operator.scaling.kpa.zero import (
    ACTIVATION_TIMEOUT,
    Activity,
    LastStep,
    Path,
    ZeroRules,
    bounded,
    last_step,
)
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
    ([Bucket(5, 1), Bucket(6, 1), Bucket(7, 0)], 7, 6, 0.666666),
    ([Bucket(1, 12), *every_second(2, 7, 6)], 7, 6, 6.0),
]


@pytest.mark.parametrize(("buckets", "now", "window", "average"), AVERAGES)
def test_window_average(buckets: list[Bucket], now: int, window: int, average: float | None) -> None:
    assert window_average(buckets, now, window) == average


EXPONENTIAL = [
    # buckets, now, window -> average; the window of 6 has c = 1 - 0.0001^(1/6) = 0.7846, that of 60 has 0.2
    ([], 10, 6, None),
    ([Bucket(10, 10)], 10, 6, 7.8456),
    (every_second(1, 6, 10), 6, 6, 9.999),  # the weights of a whole window sum up to 0.9999
    ([Bucket(9, 10), Bucket(10, 0)], 10, 6, 1.6903),
    ([Bucket(8, 10), Bucket(10, 10)], 10, 6, 8.2097),  # a gap is a zero
    (every_second(1, 6, 10), 8, 6, 0.4631),  # and so are silent seconds
    (every_second(1, 6, 10), 12, 6, 0.0),
    (every_second(1, 6, 10), 13, 6, None),
    (every_second(1, 60, 10), 60, 60, 9.99998),
    ([Bucket(1, 99), Bucket(61, 10)], 61, 60, 2.0),  # a whole window of silence starts anew
]


@pytest.mark.parametrize(("buckets", "now", "window", "average"), EXPONENTIAL)
def test_exponential_average(buckets: list[Bucket], now: int, window: int, average: float | None) -> None:
    assert exponential_average(buckets, now, window) == (None if average is None else pytest.approx(average, abs=1e-4))


BOTH = [
    # buckets, now -> averages
    ([], 10, None),
    (every_second(1, 60, 6), 60, Averages(6, 6)),
    (every_second(1, 60, 6), 67, Averages(6, 0)),  # the panic window is silent, the stable one is not
    (every_second(1, 60, 6), 120, Averages(0, 0)),
    (every_second(1, 60, 6), 121, None),
    ([*every_second(1, 54, 0), *every_second(55, 60, 6)], 60, Averages(0.6, 6)),
]


@pytest.mark.parametrize(("buckets", "now", "expected"), BOTH)
def test_both_averages(buckets: list[Bucket], now: int, expected: Averages | None) -> None:
    assert averages(buckets, now) == expected


def test_what_only_activators_tell_is_no_load_when_silent() -> None:
    assert averages([], 10, is_scraped=False) == Averages(0, 0)


@pytest.mark.parametrize(
    ("stable", "percent", "panic"),
    [(60, 10, 6), (6, 10, 1), (600, 1, 6), (60, 100, 60), (64, 10, 6), (65, 10, 7), (75, 10, 8)],
)
def test_panic_window(stable: float, percent: float, panic: float) -> None:
    assert panic_window(timedelta(seconds=stable), percent) == timedelta(seconds=panic)


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
    (0, 0, 1, TEN, 0, False),  # floor(1 / 2): the last pod may go
    (5, 1, 1, replace(TEN, activation_scale=3), 3, False),
    (20, 20, 1, TEN, 2, True),  # 200 % exactly is panic
    (1e9, 1e9, 1, TEN, 1000, True),  # at most a thousandfold
    (999, 999, 100, replace(TEN, max_scale_up_rate=1.1), 100, False),
    (999, 999, 10, replace(TEN, max_scale_up_rate=1.25), 13, True),  # the rate does not hide the panic
    (0.001, 0.001, 0, TEN, 1, False),
    (100, 100, 30, replace(TEN, reachable=False), 10, False),
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
    panicking = started(8, at(0))
    scale, memory = decide(None, 3.0, 8, TEN, panicking, at(1000))
    assert (scale.size, scale.panicking, memory) == (None, True, panicking)


def test_a_silent_panic_window_is_no_load() -> None:
    assert decide(40, None, 4, TEN, Memory(), at(0)) == decide(40, 0, 4, TEN, Memory(), at(0))


def test_a_restart_leaves_panic_after_a_stable_window() -> None:
    memory, sizes = started(8, at(0)), []
    for second in (2, 60, 62):
        scale, memory = decide(10, 10, 8, TEN, memory, at(second))
        sizes.append(scale.size)
    assert sizes == [8, 8, 4]


def test_the_most_that_was_wanted_in_panic_stays() -> None:
    memory, sizes = Memory(), []
    for second, load in enumerate([60, 90, 40, 100]):
        scale, memory = decide(load, load, 3, TEN, memory, at(2 * second))
        sizes.append(scale.size)
    assert sizes == [6, 9, 9, 10]


@pytest.mark.parametrize(
    ("profile", "target", "total"),
    [(Profile.of(100), 70, 100), (Profile.of(200), 140, 200), (Profile.of(8, 0.8), 6.4, 8), (Profile.of(0), 0.01, 0)],
)
def test_targets(profile: Profile, target: float, total: float) -> None:
    assert profile.target == pytest.approx(target)
    assert profile.total == total


def test_a_delay_does_not_hold_what_nobody_reaches() -> None:
    profile = replace(TEN, scale_down_delay=timedelta(seconds=60))
    _, memory = decide(40, 40, 4, profile, Memory(), at(0))
    assert decide(10, 10, 4, profile, memory, at(2))[0].size == 4
    assert decide(10, 10, 4, replace(profile, reachable=False), memory, at(2))[0].size == 1


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


@pytest.mark.parametrize(
    ("ready", "burst", "count"),
    [(0, 211, 3), (10, 211, 4), (100, 211, 13), (100, 0, 2), (31, -1, 4), (0, -1, 2)],
)
def test_activators(ready: int, burst: float, count: int) -> None:
    assert activators(ready, replace(TEN, target_burst_capacity=burst)) == count


def test_an_unlimited_burst_adds_nothing_to_cover() -> None:
    assert activators(1, Profile(total=200.5, target_burst_capacity=-1)) == 3


@pytest.mark.parametrize(
    ("size", "minimum", "maximum", "within"), [(0, 2, 5, 2), (3, 2, 5, 3), (9, 2, 5, 5), (9, 2, 0, 9)]
)
def test_a_maximum_of_zero_is_none(size: int, minimum: int, maximum: int, within: int) -> None:
    assert bounded(size, minimum, maximum) == within


def path(activity: Activity, lasted: float, *, answers: bool = True, proxied: float = 0) -> Path:
    return Path(activity, timedelta(seconds=lasted), answers, timedelta(seconds=proxied))


TIMEOUT = ACTIVATION_TIMEOUT.total_seconds()
ZERO = [
    (path(Activity.ACTIVATING, TIMEOUT), LastStep(-1, write=False)),
    (path(Activity.ACTIVATING, TIMEOUT + 1), LastStep(0, write=True)),
    (path(Activity.ACTIVE, 59), LastStep(1, write=True)),
    (path(Activity.ACTIVE, 60), LastStep(0, write=False)),
    (path(Activity.INACTIVE, 29), LastStep(0, write=False)),
    (path(Activity.INACTIVE, 30), LastStep(0, write=True)),
    (path(Activity.INACTIVE, 300, answers=False), LastStep(0, write=False)),
    (path(Activity.INACTIVE, 1, proxied=30), LastStep(0, write=True)),
]


@pytest.mark.parametrize(("where", "step"), ZERO)
def test_the_last_pod(where: Path, step: LastStep) -> None:
    assert last_step(0, where, ZeroRules()) == step


def test_the_last_pod_is_retained_and_others_are_not_the_rules_business() -> None:
    rules = ZeroRules(retention=timedelta(seconds=120))
    assert last_step(0, path(Activity.INACTIVE, 119, proxied=200), rules).write is False
    assert last_step(0, path(Activity.INACTIVE, 120, proxied=200), rules).write is True
    assert last_step(0, path(Activity.INACTIVE, 500), ZeroRules(enabled=False)) == LastStep(1, write=True)
    assert last_step(4, path(Activity.ACTIVE, 1), rules) == LastStep(4, write=True)
