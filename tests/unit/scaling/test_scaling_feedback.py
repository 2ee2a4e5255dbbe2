from datetime import timedelta
from itertools import count

import pytest

from autoglm_api.spec import MemorySource, Signal, SignalType
from autoglm_operator.scaling.feedback import RETRY_AFTER, Watch
from autoglm_operator.scaling.model import NOT_READ, Load
from autoglm_operator.scaling.observation import observe
from autoglm_operator.scaling.readings import AtLeast, Fresh, Problem, Reading
from autoglm_operator.scaling.rules import Tolerance
from autoglm_operator.scaling.signals import Opinion, Pool, opinions
from support.scaling_times import at

TTFT = Signal(type=SignalType.FIRST_TOKEN_LATENCY, target_milliseconds=200)
KV = Signal(type=SignalType.KV_CACHE_USE)
DEVICE = Signal(type=SignalType.GPU_MEMORY, source=MemorySource.DEVICE)
BUSY = Fresh(5_000)


class Watcher:
    """One signal watched every five seconds; a replica takes 30 s to start."""

    def __init__(self, signal: Signal, *, in_flight: Reading = BUSY) -> None:
        self.signal = signal
        self.in_flight = in_flight
        self.watches: dict[str, Watch] = {}
        self.seconds = count(0, 5)

    def look(self, figure: float | Reading, *, current: int = 4, ready: int | None = None) -> Opinion:
        reading = Fresh(round(figure * 1000)) if isinstance(figure, int | float) else figure
        now, signals = at(next(self.seconds)), [self.signal]
        load = Load(Fresh(0), self.in_flight, signals={self.signal.key: reading})
        seen = observe(signals, load, {}, now, timedelta(seconds=300))
        pool = Pool(current, current if ready is None else ready, now, Tolerance(), startup_seconds=30.0)
        said = opinions(signals, seen, pool, self.watches)
        self.watches = said.watches
        return said.opinions[0]

    def asks(self, figure: float | Reading, times: int, current: int = 4) -> list[int | None]:
        return [self.look(figure, current=current).proposal for _ in range(times)]


def test_a_latency_takes_a_step_after_two_windows() -> None:
    assert Watcher(TTFT).asks(250, 8) == [4, 4, 4, 4, 4, 4, 5, 5]


def test_the_next_step_waits_until_the_last_one_has_had_its_time() -> None:
    watcher = Watcher(TTFT)
    watcher.asks(250, 7)
    assert watcher.asks(250, 7, current=30) == [30, 30, 30, 30, 30, 33, 33]


class Grower(Watcher):
    """A pool that is what the latency asks for, with the same queries for however many replicas."""

    def __init__(self, queries: float = 40, size: int = 4) -> None:
        super().__init__(TTFT, in_flight=Fresh(round(queries * 1000)))
        self.size = size
        self.most = size

    def grow(self, figure: float, times: int) -> Opinion:
        for _ in range(times):
            opinion = self.look(figure, current=self.size)
            self.size = opinion.proposal or self.size
            self.most = max(self.most, self.size)
        return opinion


def test_a_target_below_what_the_model_can_do_stops_the_steps() -> None:
    pool = Grower()
    found = pool.grow(250, 100)
    assert pool.most == 7  # three steps, and no more
    assert (found.proposal, found.fits, found.is_vain) == (None, 0, True)
    assert "more replicas did not lower it" in found.note


def test_it_is_tried_again_after_an_hour() -> None:
    pool = Grower()
    pool.grow(250, 100)
    hour = round(RETRY_AFTER.total_seconds() / 5)
    pool.grow(250, hour - 110)
    assert pool.most == 7
    pool.grow(250, 60)
    assert pool.most > 7


def test_a_step_that_helps_is_followed_by_more() -> None:
    pool = Grower()
    for figure in range(900, 300, -50):
        pool.grow(figure, 9)
    assert pool.most >= 10


def test_steps_that_a_growing_load_eats_up_prove_nothing() -> None:
    pool = Grower()
    for _ in range(150):
        pool.in_flight = Fresh(10_000 * pool.size)
        assert not pool.grow(250, 1).is_vain
    assert pool.most > 10


def test_steps_of_which_no_replica_came_prove_nothing() -> None:
    pool = Grower()
    found = [pool.look(250, current=pool.size, ready=4) for _ in range(150)]
    assert not any(opinion.is_vain for opinion in found)


def test_without_the_queries_in_flight_nothing_is_proved() -> None:
    pool = Grower()
    pool.in_flight = NOT_READ
    assert not pool.grow(250, 100).is_vain


def test_a_target_that_is_kept_again_ends_it() -> None:
    pool = Grower()
    pool.grow(250, 100)
    pool.grow(100, 15)
    assert not pool.look(250, current=7).is_vain


def test_a_kept_latency_holds_for_a_stable_window_and_then_has_no_opinion() -> None:
    watcher = Watcher(TTFT)
    watcher.asks(250, 7)
    asked = watcher.asks(100, 20, current=5)
    assert asked[:12] == [5] * 12
    assert asked[13:] == [None] * 7


def test_a_latency_that_was_over_its_target_for_a_moment_holds_no_longer_than_the_stable_window() -> None:
    watcher = Watcher(TTFT)
    watcher.look(250)
    asked = watcher.asks(100, 20)
    assert asked[:12] == [4] * 12
    assert asked[13:] == [None] * 7


def test_a_latency_below_its_target_never_had_an_opinion() -> None:
    assert set(Watcher(TTFT).asks(199, 20)) == {None}


@pytest.mark.parametrize(("milliseconds", "fits"), [(150, 0), (170, 1), (190, 4), (240, 9)])
def test_only_waiting_grows_when_replicas_go(milliseconds: float, fits: int) -> None:
    watcher = Watcher(TTFT)
    watcher.look(150)
    found = watcher.look(milliseconds).fits
    waiting = milliseconds - 150.1  # the best latency seen is forgotten slowly
    assert found == pytest.approx(max(0, -(-4 * waiting // (50 * 0.8))), abs=1)
    assert found == pytest.approx(fits, abs=1)


def test_a_cache_above_its_target_asks_for_its_share_after_two_windows() -> None:
    watcher = Watcher(KV)
    assert watcher.asks(96, 8) == [4, 4, 4, 4, 4, 4, 5, 5]
    assert watcher.look(84).proposal == 4  # within the tolerance


def test_a_cache_asks_for_less_at_once_and_tells_what_fits() -> None:
    opinion = Watcher(KV).look(39)
    assert (opinion.proposal, opinion.fits) == (2, 2)


def test_a_cache_is_that_of_the_ready_replicas() -> None:
    watcher = Watcher(KV)
    watcher.asks(96, 7)
    found = watcher.look(100, current=10, ready=4)
    assert (found.proposal, found.fits) == (10, 5)  # over the target nothing shrinks


def test_part_of_a_cache_can_only_raise() -> None:
    watcher = Watcher(KV)
    low, high = (AtLeast(milli, Problem.PARTIAL, "half") for milli in (10_000, 96_000))
    assert watcher.look(low).proposal is None
    assert watcher.asks(high, 7)[-1] == 5


def test_device_memory_grows_the_pool_a_step_at_a_time_and_never_shrinks_it() -> None:
    watcher = Watcher(DEVICE)
    assert watcher.asks(30, 3) == [None] * 3
    assert watcher.asks(90, 7)[-1] == 5


def test_device_memory_that_is_high_in_an_idle_pool_says_nothing() -> None:
    watcher = Watcher(DEVICE, in_flight=Fresh(0))
    watcher.look(90)
    watcher.in_flight = BUSY
    assert set(watcher.asks(95, 20)) == {None}
    assert "in advance" in watcher.look(95).note


def test_device_memory_that_growing_does_not_lower_says_nothing_more() -> None:
    watcher = Watcher(DEVICE)
    watcher.asks(90, 7)
    assert set(watcher.asks(90, 20, current=5)[8:]) == {None}


def test_a_missing_figure_has_no_opinion_and_keeps_the_memory() -> None:
    watcher = Watcher(TTFT)
    watcher.asks(250, 3)
    assert watcher.look(NOT_READ).proposal is None
    assert watcher.asks(250, 3)[-1] == 5
