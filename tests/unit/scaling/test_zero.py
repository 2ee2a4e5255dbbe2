from dataclasses import replace

import pytest

from autoglm_api.spec import Scaling, Signal, SignalType
from autoglm_api.status import Reason
from autoglm_operator.scaling.model import Load
from autoglm_operator.scaling.readings import AtLeast, Fresh, Problem, Reading
from autoglm_operator.scaling.zero import Sleep, ZeroState, slumber
from support.scaling_pools import BLIND, NOTHING, scaling
from support.scaling_times import at

QUIET = Load(Fresh(0), Fresh(0), offered_tokens=Fresh(0))
WAITING = replace(QUIET, queued=Fresh(2000))
IDLE_600 = scaling(0, 10, zero={"idleSeconds": 600, "activationReplicas": 3})
ASLEEP = Sleep(0, 0, Reason.SCALED_TO_ZERO)
STOPPED = Sleep(0, 0, Reason.MANUAL_ZERO)
WOKEN = Sleep(3, 3, Reason.WOKEN)
AWAKE = Sleep(None, 1, None)


def seen(*moments: tuple[float, int, Load], rules: Scaling = IDLE_600, minimum: int = 0) -> list[Sleep]:
    """Look at a pool at moments (seconds, replicas, load); what sleep said each time."""
    state, said = ZeroState(), []
    for seconds, current, load in moments:
        sleep, state = slumber(current, load, rules, minimum, state, at(seconds))
        said.append(sleep)
    return said


def silence(current: int, *, start: int = 0, end: int, step: int = 30) -> list[tuple[float, int, Load]]:
    return [(second, current, QUIET) for second in range(start, end + 1, step)]


def test_the_last_replica_goes_after_the_idle_time() -> None:
    said = seen(*silence(1, end=600))
    assert set(said[:-1]) == {AWAKE}
    assert said[-1] == ASLEEP


def test_a_pool_of_two_never_goes_to_zero_at_once() -> None:
    assert set(seen(*silence(2, end=1200))) == {AWAKE}


def test_a_minimum_above_zero_leaves_it_to_the_bounds() -> None:
    assert set(seen(*silence(1, end=1200), minimum=2)) == {Sleep(None, 2, None)}


@pytest.mark.parametrize(
    "load",
    [
        WAITING,
        replace(QUIET, in_flight=Fresh(1000)),
        replace(QUIET, offered_tokens=Fresh(1)),
        replace(QUIET, offered_tokens=NOTHING),
        replace(QUIET, queued=AtLeast(0, Problem.PARTIAL, "half")),
        BLIND,
    ],
)
def test_whatever_breaks_the_silence_starts_it_anew(load: Load) -> None:
    said = seen(*silence(1, end=570), (600, 1, load), *silence(1, start=630, end=1230))
    assert set(said[:-1]) == {AWAKE}
    assert said[-1] == ASLEEP


def test_time_in_which_nobody_looked_is_no_silence() -> None:
    assert seen((0, 1, QUIET), (700, 1, QUIET))[-1] == AWAKE


@pytest.mark.parametrize("load", [QUIET, BLIND, replace(QUIET, queued=AtLeast(0, Problem.PARTIAL, "half"))])
def test_a_sleeping_pool_sleeps_on(load: Load) -> None:
    assert seen((0, 0, load)) == [ASLEEP]


@pytest.mark.parametrize("queued", [Fresh(1000), AtLeast(1000, Problem.PARTIAL, "half")])
def test_a_waiting_query_wakes_even_a_pool_that_was_never_seen_before(queued: Reading) -> None:
    assert seen((0, 0, replace(BLIND, queued=queued))) == [WOKEN]


def test_no_more_than_max_replicas_wake() -> None:
    one = IDLE_600.model_copy(update={"max_replicas": 1})
    assert seen((0, 0, WAITING), rules=one) == [Sleep(1, 1, Reason.WOKEN)]


def test_a_pool_that_slept_wakes_again() -> None:
    assert seen(*silence(1, end=600), (605, 0, QUIET), (2000, 0, QUIET), (2005, 0, WAITING))[-1] == WOKEN


def test_a_zero_of_somebody_else_stays() -> None:
    said = seen((0, 2, WAITING), (5, 0, WAITING), (3600, 0, WAITING))
    assert said[1:] == [STOPPED, STOPPED]


def test_scaling_up_ends_a_manual_zero() -> None:
    assert seen((0, 2, QUIET), (5, 0, QUIET), (10, 1, QUIET), *silence(1, start=15, end=645), (650, 0, WAITING))[
        -1
    ] == (WOKEN)


def test_sleep_is_no_idle_time_of_the_replica_that_somebody_starts() -> None:
    said = seen((0, 2, QUIET), *silence(0, start=5, end=1205), *silence(1, start=1210, end=1810))
    assert said[-2:] == [AWAKE, ASLEEP]


def test_a_raised_minimum_ends_a_manual_zero() -> None:
    _, state = slumber(2, QUIET, IDLE_600, 0, ZeroState(), at(0))
    said, state = slumber(0, QUIET, IDLE_600, 0, state, at(5))
    assert said == STOPPED
    said, state = slumber(0, QUIET, IDLE_600, 2, state, at(10))
    assert said == Sleep(None, 2, None)
    assert slumber(0, WAITING, IDLE_600, 0, state, at(15))[0] == WOKEN


def test_a_zero_that_shows_up_after_the_mind_was_changed_is_still_ours() -> None:
    assert seen(*silence(1, end=600), (605, 1, WAITING), (610, 0, WAITING))[-1] == WOKEN


def test_a_zero_long_after_the_mind_was_changed_is_manual() -> None:
    assert seen(*silence(1, end=600), (605, 1, WAITING), (661, 0, WAITING))[-1] == STOPPED


def test_a_queue_of_ones_own_keeps_awake_and_wakes() -> None:
    lag = Signal(type=SignalType.KAFKA_LAG, target="5", consumer_group="shop")
    rules = IDLE_600.model_copy(update={"signals": [lag]})
    behind = replace(QUIET, signals={lag.key: Fresh(3000)})
    assert seen((0, 0, behind), rules=rules) == [WOKEN]
    assert set(seen(*silence(1, end=1200), rules=rules)) == {AWAKE}, "an unknown lag is no silence"
    done = replace(QUIET, signals={lag.key: Fresh(0)})
    assert seen(*[(second, 1, done) for second in range(0, 601, 30)], rules=rules)[-1] == ASLEEP
