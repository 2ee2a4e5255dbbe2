"""What one pool's decisions remember, and how a snapshot is taken in before a decision is made.

Everything is bounded (by a window divided by the tick, or by a count) and can be written as JSON, so that it outlives
a restart of the operator.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from autoglm_api.schema import milli_units
from autoglm_api.spec import Behavior, Scaling, SignalType
from autoglm_operator.scaling import capacity, demand, forecast, smoothing, startup
from autoglm_operator.scaling.behavior import carried_out
from autoglm_operator.scaling.capacity import CapacityState
from autoglm_operator.scaling.demand import DemandState
from autoglm_operator.scaling.feedback import Watch
from autoglm_operator.scaling.forecast import ForecastState
from autoglm_operator.scaling.history import History, seeded
from autoglm_operator.scaling.model import PoolSnapshot
from autoglm_operator.scaling.newcomers import Batch, followed
from autoglm_operator.scaling.outage import RECENT_FOR, SignalMemory
from autoglm_operator.scaling.panic import PanicState
from autoglm_operator.scaling.readings import Fresh
from autoglm_operator.scaling.signals import DEFAULT_PERCENT
from autoglm_operator.scaling.smoothing import Sample
from autoglm_operator.scaling.zero import ZeroState

ASK_MEMORY: Final = timedelta(seconds=60)
"""How long a decided size may take to show before it counts as refused."""
NO_ROOM_AFTER_SECONDS: Final = 60.0
"""A replica that has waited for room in the cluster for so long is no supply."""
WHOLE_FOR: Final = timedelta(seconds=600)
"""So long must all replicas stay ready before one that fails counts as starting anew; kubelet's longest pause between
two starts of a container is 300 s."""


class Asked(NamedTuple):
    """A size that was decided and that the cluster may not show yet."""

    before: int
    at: datetime


class Starting(NamedTuple):
    """Since when, at this size and ready count, replicas have made no progress towards ready."""

    current: int
    ready: int
    since: datetime
    whole_since: datetime | None = None
    """Since when all have been ready again: one that fails over and over is not starting each time."""


@dataclass(frozen=True, slots=True)
class PoolState:
    """What one pool's decisions remember."""

    history: History = field(default_factory=History)
    asked: Asked | None = None
    starting: Starting | None = None
    newcomers: tuple[Batch, ...] = ()
    startups: tuple[float, ...] = ()
    """The last start-up times in seconds."""
    capacity: CapacityState = field(default_factory=CapacityState)
    demand: DemandState = field(default_factory=DemandState)
    panic: PanicState = field(default_factory=PanicState)
    memories: dict[str, SignalMemory] = field(default_factory=dict)
    """The outage ladder's, by reading."""
    samples: dict[str, tuple[Sample, ...]] = field(default_factory=dict)
    """Of the readings that are averaged over a while, by field of the load."""
    watches: dict[str, Watch] = field(default_factory=dict)
    """Of the signals that are watched for a while before they count, by key."""
    forecast: ForecastState = field(default_factory=ForecastState)
    zero: ZeroState = field(default_factory=ZeroState)


def taken_in(state: PoolState, snapshot: PoolSnapshot, scaling: Scaling, now: datetime) -> PoolState:
    """Return the state with what the cluster and the load show now."""
    state = _sized(state, snapshot, scaling.behavior, now)
    return replace(
        state,
        starting=_starting(state.starting, snapshot, now),
        newcomers=followed(state.newcomers, len(snapshot.became_ready), _due(snapshot), now),
        startups=startup.remembered(state.startups, snapshot.became_ready),
        capacity=capacity.observed(
            state.capacity, snapshot.load, snapshot.ready, expected_milli(scaling), _kv_percent(scaling), now
        ),
        demand=demand.remembered(state.demand, snapshot.load, now),
        samples=smoothing.remembered(state.samples, snapshot.load, now),
        forecast=_forecast(state.forecast, snapshot, now),
    )


def expected_milli(scaling: Scaling) -> int | None:
    """Return the thousandths of tokens/s that the spec expects of a replica; None when it does not say."""
    targets = [signal.target for signal in scaling.signals if signal.type is SignalType.TOKEN_DEMAND]
    return milli_units(targets[0]) if targets and targets[0] is not None else None


def without_room(snapshot: PoolSnapshot) -> int:
    """Return how many replicas have waited for room for so long that they are no supply."""
    return snapshot.unschedulable if snapshot.unschedulable_seconds >= NO_ROOM_AFTER_SECONDS else 0


def _sized(state: PoolState, snapshot: PoolSnapshot, behavior: Behavior | None, now: datetime) -> PoolState:
    """Take in the size: a change counts only once it was carried out."""
    history, asked = seeded(_resumed(state.history, now), snapshot.current, now), state.asked
    if asked is not None and snapshot.current != asked.before:
        history = carried_out(history, behavior, before=asked.before, after=snapshot.current, at=asked.at)
    if asked is not None and (snapshot.current != asked.before or now - asked.at > ASK_MEMORY):
        asked = None
    return replace(state, history=history, asked=asked)


def _resumed(history: History, now: datetime) -> History:
    """Forget what was recommended before a gap (the operator was away, or the deployment paused).

    Nobody knows what the load was meanwhile, so the size that is found is held for a window, as after every start.
    """
    newest = max((one.at for one in history.recommendations), default=now)
    return replace(history, recommendations=()) if now - newest > RECENT_FOR else history


def _starting(known: Starting | None, snapshot: PoolSnapshot, now: datetime) -> Starting | None:
    if known is not None:  # a pool that shrinks starts nothing
        is_other = snapshot.current > known.current or _is_past(known, now)
        known = None if is_other else known._replace(current=snapshot.current)
    if snapshot.ready >= snapshot.current - without_room(snapshot):
        return known and known._replace(whole_since=known.whole_since or now)
    if known is None or (snapshot.ready > known.ready and known.whole_since is None):
        return Starting(snapshot.current, snapshot.ready, now)
    return known._replace(whole_since=None)


def _due(snapshot: PoolSnapshot) -> int:
    """Return how many replicas start; those without room do not."""
    return max(0, snapshot.current - snapshot.ready - without_room(snapshot))


def _is_past(known: Starting, now: datetime) -> bool:
    return known.whole_since is not None and now - known.whole_since >= WHOLE_FOR


def _forecast(state: ForecastState, snapshot: PoolSnapshot, now: datetime) -> ForecastState:
    offered = snapshot.load.offered_tokens
    return forecast.observe(state, now, offered.milli) if isinstance(offered, Fresh) else state


def _kv_percent(scaling: Scaling) -> int | None:
    percents = [signal.target_percent for signal in scaling.signals if signal.type is SignalType.KV_CACHE_USE]
    return (percents[0] or DEFAULT_PERCENT) if percents else None
