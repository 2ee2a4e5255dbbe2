"""All that a verdict on a pool's size is made from, gathered once: `case_of`."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from autoglm_api.spec import Forecast, Panic, Scaling
from autoglm_operator.scaling import forecast
from autoglm_operator.scaling.behavior import Bounds
from autoglm_operator.scaling.capacity import capacity
from autoglm_operator.scaling.demand import GROW_SHARE, backlog, size_for, with_backlog
from autoglm_operator.scaling.model import PoolSnapshot
from autoglm_operator.scaling.observation import Observation, observe
from autoglm_operator.scaling.outage import Stage
from autoglm_operator.scaling.panic import Burst, PanicState, after
from autoglm_operator.scaling.readings import Fresh
from autoglm_operator.scaling.rules import tolerance_of
from autoglm_operator.scaling.schedule import Scheduled, scheduled
from autoglm_operator.scaling.signals import Opinion, Pool, opinions
from autoglm_operator.scaling.smoothing import smoothed
from autoglm_operator.scaling.startup import startup_seconds
from autoglm_operator.scaling.state import PoolState, expected_milli
from autoglm_operator.scaling.zero import Sleep, slumber


@dataclass(frozen=True, slots=True)
class Case:
    """One pool at one moment, with what its signals say of it."""

    snapshot: PoolSnapshot
    scaling: Scaling
    state: PoolState
    pool: Pool
    said: tuple[Opinion, ...]
    schedule: Scheduled
    sleep: Sleep
    forecast: int | None
    """Size that the forecast asks for at least."""

    @property
    def current(self) -> int:
        """Replicas asked for so far."""
        return self.snapshot.current

    @property
    def now(self) -> datetime:
        """The moment of the decision."""
        return self.pool.now

    @property
    def bounds(self) -> Bounds:
        """Least and most replicas now."""
        return Bounds(self.sleep.floor, self.schedule.maximum)

    @property
    def stages(self) -> frozenset[Stage]:
        """How good the data of the signals are."""
        return frozenset(opinion.stage for opinion in self.said)

    @property
    def panics(self) -> bool:
        """Whether a burst is being answered."""
        until = self.state.panic.until
        return until is not None and self.now < until

    @property
    def asked(self) -> int:
        """The largest proposal; the current size when there is none."""
        sizes = (*(opinion.proposal for opinion in self.said), self.forecast)
        return max((size for size in sizes if size is not None), default=self.current)


def case_of(snapshot: PoolSnapshot, scaling: Scaling, state: PoolState, now: datetime) -> Case:
    """Return the case of a pool whose state has taken the snapshot in."""
    lost_after = timedelta(seconds=scaling.fallback.after_seconds)
    seen = observe(scaling.signals, smoothed(snapshot.load, state.samples), state.memories, now, lost_after)
    pool = _pool(snapshot, scaling, state, now)
    said = opinions(scaling.signals, seen, pool, state.watches)
    schedule = scheduled(scaling, now, timedelta(seconds=pool.startup_seconds))
    sleep, zero = slumber(snapshot.current, snapshot.load, scaling, schedule.minimum, state.zero, now)
    panic = _panic(state.panic, seen, pool, scaling)
    state = replace(state, memories=seen.memories, watches=said.watches, panic=panic, zero=zero)
    return Case(snapshot, scaling, state, pool, said.opinions, schedule, sleep, _forecast(scaling, state, pool))


def _pool(snapshot: PoolSnapshot, scaling: Scaling, state: PoolState, now: datetime) -> Pool:
    return Pool(
        current=snapshot.current,
        ready=snapshot.ready,
        now=now,
        tolerance=tolerance_of(scaling.behavior),
        startup_seconds=startup_seconds(state.startups, scaling.startup_seconds),
        concurrency=snapshot.concurrency,
        capacity=capacity(state.capacity, expected_milli(scaling), now),
        demand=state.demand,
        newcomers=state.newcomers,
    )


def _panic(state: PanicState, seen: Observation, pool: Pool, scaling: Scaling) -> PanicState:
    burst = None if scaling.panic is Panic.DISABLED else _burst(seen, pool)
    hold = timedelta(seconds=pool.startup_seconds)
    return after(state, burst, ready=pool.ready, supply=pool.current, hold=hold, now=pool.now)


def _burst(seen: Observation, pool: Pool) -> Burst | None:
    load = seen.load
    short = load.offered_tokens_now
    if pool.capacity is None or not isinstance(short, Fresh):
        return None
    waiting = backlog(replace(load, offered_tokens=short), pool.supply, pool.capacity.milli)
    size = size_for(with_backlog(short.milli, waiting), pool.capacity.milli, GROW_SHARE)
    return Burst((short.milli + waiting) / pool.capacity.milli, size, waits=waiting > 0)


def _forecast(scaling: Scaling, state: PoolState, pool: Pool) -> int | None:
    if scaling.forecast is Forecast.DISABLED or pool.capacity is None:
        return None
    milli = forecast.floor(state.forecast, pool.now, pool.startup_seconds)
    return None if milli is None else size_for(milli, pool.capacity.milli, GROW_SHARE)
