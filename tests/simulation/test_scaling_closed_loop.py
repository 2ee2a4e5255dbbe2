"""The real `decide` against a small world in virtual time: queue, replicas that start slowly, a scrape that lags."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from autoglm_api.spec import Behavior
from autoglm_api.status import Reason
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.model import Load, PoolSnapshot
from support.scaling_pools import BLIND, fresh_load, scaling
from support.scaling_times import at, behavior, percent, pods

DEMO = behavior(
    up={"policies": [pods(4, 15), percent(100, 15)]},
    down={"stabilizationWindowSeconds": 30, "policies": [pods(2, 15)]},
)


@dataclass
class World:
    """A pool that serves `rate` queries a second per replica, each in `service_seconds`, in steps of a second."""

    size: int
    start_seconds: int = 10
    slots: int = 6
    service_seconds: float = 3.0
    queued: float = 0.0
    in_flight: float = 0.0
    ages: list[int] = field(default_factory=list)
    reports: deque[Load] = field(default_factory=lambda: deque(maxlen=3))

    def __post_init__(self) -> None:
        self.ages = [self.start_seconds] * self.size

    @property
    def ready(self) -> int:
        return sum(age >= self.start_seconds for age in self.ages)

    def resize(self, size: int) -> None:
        self.ages = sorted(self.ages, reverse=True)[:size] + [0] * (size - len(self.ages))
        self.size = size

    def second(self, arrivals: float) -> None:
        self.ages = [age + 1 for age in self.ages]
        self.in_flight -= self.in_flight / self.service_seconds
        waiting = self.queued + arrivals
        taken = min(waiting, max(0.0, self.ready * self.slots - self.in_flight))
        self.in_flight += taken
        self.queued = waiting - taken
        self.reports.append(fresh_load(self.queued, self.in_flight))


@dataclass
class Run:
    sizes: list[int] = field(default_factory=list)
    queues: list[float] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)

    @property
    def reversals(self) -> int:
        moves = [late - early for early, late in pairwise(self.sizes) if late != early]
        return sum(one * other < 0 for one, other in pairwise(moves))


def simulate(
    arrivals: Callable[[int], float],
    seconds: int,
    *,
    rules: Behavior = DEMO,
    is_blind: Callable[[int], bool] = lambda _: False,
) -> Run:
    world, state, run = World(size=2), PoolState(), Run()
    for second in range(seconds):
        world.second(arrivals(second))
        if second % 5 == 0:
            load = BLIND if is_blind(second) else world.reports[0]
            pool = PoolSnapshot(world.size, world.ready, rolling_out=False, load=load)
            decision, state = decide(pool, scaling(1, 20, rules), state, at(second))
            world.resize(decision.replicas)
            run.reasons.append(decision.reason)
        run.sizes.append(world.size)
        run.queues.append(world.queued)
    return run


def peak(second: int) -> float:
    """20 queries/s from 60 s to 240 s (60 in flight: 10 replicas), else 1."""
    return 20.0 if 60 <= second < 240 else 1.0


def test_a_peak_grows_the_pool_until_the_queue_is_gone() -> None:
    run = simulate(peak, 240)
    assert run.sizes[55] <= 2
    assert 9 <= run.sizes[-1] <= 14
    assert run.queues[-1] < 1


def test_the_end_of_a_peak_shrinks_it_after_the_window_at_the_rate_of_the_policy() -> None:
    run = simulate(peak, 480)
    top = run.sizes[239]
    assert run.sizes[240 + 25] == top
    assert run.sizes[-1] == 1
    assert all(run.sizes[second] - run.sizes[second + 14] <= 2 for second in range(240, 460))


def test_one_peak_means_one_way_up_and_one_way_down() -> None:
    assert simulate(peak, 480).reversals <= 2


def test_load_that_swings_around_a_threshold_does_not_flap() -> None:
    run = simulate(lambda second: 12.0 if second // 10 % 2 else 9.0, 900)
    assert run.reversals <= 2


def test_an_outage_at_the_fall_keeps_the_size_until_a_window_after_it() -> None:
    run = simulate(peak, 700, is_blind=lambda second: 230 <= second < 530)
    top = run.sizes[229]
    assert set(run.sizes[230 : 525 + 30]) == {top}
    assert Reason.METRICS_MISSING in run.reasons
    assert run.sizes[-1] == 1


def test_an_outage_at_the_rise_never_shrinks_and_recovers_afterwards() -> None:
    run = simulate(peak, 240, is_blind=lambda second: 70 <= second < 130)
    assert run.sizes[60:155] == sorted(run.sizes[60:155])  # until a window after the last blind tick
    assert run.sizes[-1] >= 9
    assert run.queues[-1] < 1
