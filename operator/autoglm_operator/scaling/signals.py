"""From a pool's readings to the size that each of its signals asks for.

| signal                                             | asks for                                                 |
|----------------------------------------------------|----------------------------------------------------------|
| TokenDemand                                        | the fewest replicas that carry the demand, see `demand`  |
| QueuedQueriesPerReplica, Concurrency, Prometheus,  | AverageValue of autoscaling/v2                           |
| KafkaLag                                           |                                                          |
| Concurrency without a target                       | slots in use at 85 %; what waits only as long as         |
|                                                    | TokenDemand does not know a replica's capacity           |
| KVCacheUse, GPUMemory (KVBlocks), GPUUtilization   | ready * use / target; more only after two windows        |
| GPUMemory (Device)                                 | the same, and only ever more                             |
| FirstTokenLatency, PerTokenLatency                 | a step more after two windows; only ever more            |

AverageValue works in int64 thousandths: the size is ceil(usage / target) unless usage / (target * replicas) is within
the tolerance. Where upstream divides by status.replicas, which counts surge pods and so shrinks in mid-rollout
(kubernetes #123296), this divides by the replicas asked for.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple

from autoglm_api.schema import milli_units
from autoglm_api.signals import LATENCIES, SHARES
from autoglm_api.spec import MemorySource, Signal, SignalType
from autoglm_operator.scaling.capacity import Capacity
from autoglm_operator.scaling.demand import GROW_SHARE, SHRINK_SHARE, DemandState, Need, Supply, need, size_for
from autoglm_operator.scaling.feedback import (
    Watch,
    Work,
    helped,
    holds,
    is_over,
    is_vain,
    latency_floor,
    stepped,
    watched,
)
from autoglm_operator.scaling.model import NOT_READ, Load
from autoglm_operator.scaling.newcomers import Batch, soon
from autoglm_operator.scaling.observation import Observation
from autoglm_operator.scaling.outage import Stage
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Reading, total
from autoglm_operator.scaling.rules import Tolerance

MAX_INT32: Final = 2**31 - 1
SLOT_SHARE: Final = 0.85
"""Share of its slots that a pool uses, by Concurrency without a target and after it has shrunk..."""
NET_SHARE: Final = 0.95
"""...and the same where TokenDemand knows a replica's capacity: then Concurrency is only the net below it."""
DEFAULT_PERCENT: Final = 80
_UNKNOWN_SLOTS: Final = 6
GROW_SLACK: Final = 0.08
"""TokenDemand grows a pool by no less than this share, if nothing waits. Any step of a small pool is as large, so that
one keeps this much room when it shrinks instead."""
SHRINK_SLACK: Final = 0.1
"""TokenDemand shrinks a pool by no less than this share, so that it does not swing about a size."""
_FUTILE: Final = 0.98
"""A step that leaves more than this share of a device's memory in use has not helped."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one signal says about the size."""

    signal: Signal
    target_milli: int
    """What one replica should carry; 0: unknown."""
    reading: Reading
    proposal: int | None
    """The size asked for; None: no opinion. Never below the current size from part of the data."""
    stage: Stage = Stage.FRESH
    fits: int = 0
    """Smallest size at which the signal's figure stays within its target if the same load falls on fewer replicas."""
    note: str = ""
    is_vain: bool = False
    """Growing does not bring it below its target."""


@dataclass(frozen=True, slots=True)
class Pool:
    """What signals may know of the pool beside its load."""

    current: int
    ready: int
    now: datetime
    tolerance: Tolerance
    startup_seconds: float = 120.0
    concurrency: int = 0
    capacity: Capacity | None = None
    demand: DemandState = DemandState()  # noqa: RUF009 - immutable
    newcomers: tuple[Batch, ...] = ()

    @property
    def supply(self) -> Supply:
        """What serves now and soon."""
        return Supply(self.ready, soon(self.newcomers, self.startup_seconds, self.now), self.startup_seconds)


class Said(NamedTuple):
    """What all signals say, and what is to be remembered of the watched ones."""

    opinions: tuple[Opinion, ...]
    watches: dict[str, Watch]


def average_value_replicas(usage_milli: int, target_milli: int, current: int, tolerance: Tolerance) -> int:
    """Return the size for a total usage and a target per replica, as autoscaling/v2's AverageValue."""
    supply = float(target_milli) * float(current)
    if supply > 0 and tolerance.covers(float(usage_milli) / supply):
        return current
    return min(math.ceil(float(usage_milli) / float(target_milli)), MAX_INT32)


def opinions(signals: Sequence[Signal], seen: Observation, pool: Pool, watches: Mapping[str, Watch]) -> Said:
    """Return what each signal asks for, in the order of the signals."""
    said, remembered = [], {}
    for signal in signals:
        opinion, watch = _opinion(signal, seen.load, pool, watches.get(signal.key, Watch()))
        said.append(replace(opinion, stage=seen.stage_of(signal)))
        if watch is not None:
            remembered[signal.key] = watch
    return Said(tuple(said), remembered)


def winner(said: Sequence[Opinion]) -> Opinion | None:
    """Return the first opinion with the largest proposal; None when there is none."""
    proposing = [opinion for opinion in said if opinion.proposal is not None]
    return max(proposing, key=lambda opinion: opinion.proposal or 0, default=None)


def token_need(load: Load, pool: Pool) -> Need | None:
    """Return the tokens/s that the pool must carry; None without data or a capacity."""
    return None if pool.capacity is None else need(load, pool.demand, pool.supply, pool.capacity.milli)


def _opinion(signal: Signal, load: Load, pool: Pool, watch: Watch) -> tuple[Opinion, Watch | None]:
    if signal.type is SignalType.TOKEN_DEMAND:
        return _token_demand(signal, load, pool), None
    if signal.type in LATENCIES:
        return _latency(signal, load, pool, watch)
    if signal.type in SHARES:
        return _share(signal, load, pool, watch)
    return _average_value(signal, load, pool), None


def _token_demand(signal: Signal, load: Load, pool: Pool) -> Opinion:
    asked = token_need(load, pool)
    if asked is None or pool.capacity is None:
        note = "" if isinstance(load.offered_tokens, NoData) else "no replica's capacity is known yet"
        return Opinion(signal, 0, load.offered_tokens, None, note=note)
    mu = pool.capacity.milli
    reading = total(load.offered_tokens, load.queued_tokens)
    size = _carrying(asked, mu, pool.current)
    proposal = size if isinstance(reading, Fresh) else max(size, pool.current)
    return Opinion(signal, mu, _figure(reading, asked.milli), proposal, note=_parts(asked))


def _carrying(asked: Need, mu: int, current: int) -> int:
    """Return the size for a need; the current one when a change would hardly matter."""
    planned = current * mu * GROW_SHARE
    if asked.milli > planned:
        grown = size_for(asked.milli, mu, GROW_SHARE)
        is_little = asked.backlog == 0 and grown - current < current * GROW_SLACK
        return current if is_little else grown
    room = GROW_SLACK if current * GROW_SLACK < 1 else 0.0  # a small pool grows at once: it must not have to
    cautious = size_for(int((asked.level + asked.caution) * (1 + room)), mu, GROW_SHARE)
    shrunk = max(cautious, size_for(asked.level, mu, SHRINK_SHARE))
    return shrunk if shrunk <= current * (1 - SHRINK_SLACK) else current


def _figure(reading: Reading, milli: int) -> Reading:
    return Fresh(milli) if isinstance(reading, NoData) else replace(reading, milli=milli)


def _parts(asked: Need) -> str:
    level, margin, backlog = (round(part / 1000) for part in (asked.level, asked.margin, asked.backlog))
    return f"{level} tokens/s arrive, {margin} may come on top, {backlog} for what waits"


def _average_value(signal: Signal, load: Load, pool: Pool) -> Opinion:
    if signal.type is SignalType.CONCURRENCY and signal.target is None:
        return _slots(signal, load, pool)
    target = _milli_units(signal.target or 1)
    reading = _counted(signal, load)
    slots = pool.concurrency * 1000 * SLOT_SHARE if signal.type is SignalType.CONCURRENCY else 0
    fits = math.ceil(reading.milli / slots) if slots and not isinstance(reading, NoData) else 0
    return Opinion(signal, target, reading, _proposal(reading, target, pool), fits=fits)


def _slots(signal: Signal, load: Load, pool: Pool) -> Opinion:
    share = SLOT_SHARE if pool.capacity is None else NET_SHARE
    target = round((pool.concurrency or _UNKNOWN_SLOTS) * 1000 * share)
    reading = total(load.queued, load.in_flight)
    if pool.capacity is not None and isinstance(reading, Fresh):
        reading = load.in_flight  # what waits is TokenDemand's matter, which knows how fast it will be worked off
    fits = 0 if isinstance(load.in_flight, NoData) else math.ceil(load.in_flight.milli / target)
    return Opinion(signal, target, reading, _proposal(reading, target, pool), fits=fits)


@lru_cache(maxsize=4096)
def _milli_units(quantity: int | str) -> int:
    return milli_units(quantity)  # every signal of every pool asks at every tick


def _counted(signal: Signal, load: Load) -> Reading:
    match signal.type:
        case SignalType.QUEUED_QUERIES_PER_REPLICA:
            return load.queued
        case SignalType.CONCURRENCY:
            return total(load.queued, load.in_flight)
        case _:
            return load.signals.get(signal.key, NOT_READ)


def _proposal(reading: Reading, target_milli: int, pool: Pool) -> int | None:
    if isinstance(reading, NoData):
        return None
    asked = average_value_replicas(reading.milli, target_milli, pool.current, pool.tolerance)
    return max(asked, pool.current) if isinstance(reading, AtLeast) else asked


def _latency(signal: Signal, load: Load, pool: Pool, watch: Watch) -> tuple[Opinion, Watch]:
    target = (signal.target_milliseconds or 1) * 1000
    reading = load.signals.get(signal.key, NOT_READ)
    if not _tells(reading, target) or isinstance(reading, NoData):
        return Opinion(signal, target, reading, None), watch
    watch = watched(watch, reading.milli, target, pool.now)
    watch = helped(watch, reading.milli, pool.current, _work(load, pool.ready), pool.startup_seconds, pool.now)
    if is_vain(watch, pool.now):
        note = "more replicas did not lower it, so it asks for no more; is the target below what the model can do?"
        return Opinion(signal, target, reading, None, note=note, is_vain=True), watch
    fits = latency_floor(watch, reading.milli, target, pool.ready)
    proposal = max(pool.current, watch.granted) if holds(watch) else None
    note = "" if proposal is None else "the target is not kept, or not for long enough yet"
    return Opinion(signal, target, reading, proposal, fits=fits, note=note), watch


def _work(load: Load, ready: int) -> Work:
    queries = total(load.queued, load.in_flight)
    return Work(ready, queries.milli // max(ready, 1) if isinstance(queries, Fresh) else None)


def _share(signal: Signal, load: Load, pool: Pool, watch: Watch) -> tuple[Opinion, Watch]:
    target = (signal.target_percent or DEFAULT_PERCENT) * 1000
    reading = load.signals.get(signal.key, NOT_READ)
    if not _tells(reading, target) or isinstance(reading, NoData):
        return Opinion(signal, target, reading, None), watch
    watch = watched(watch, reading.milli, target, pool.now)
    asked = math.ceil(round(pool.ready * reading.milli / target, 6))
    if signal.source is MemorySource.DEVICE:
        return _device(Opinion(signal, target, reading, None), asked, load, pool, watch)
    close = pool.ready == pool.current and pool.tolerance.covers(reading.milli / target)
    grown = max(pool.current, asked) if is_over(watch, pool.now) and not close else pool.current
    # Over the target nothing shrinks: the replicas that are not ready are missed, however few are.
    stays = close or asked >= pool.current or reading.milli > target or isinstance(reading, AtLeast)
    proposal = grown if stays else asked
    return Opinion(signal, target, reading, proposal, fits=asked), watch


def _device(opinion: Opinion, asked: int, load: Load, pool: Pool, watch: Watch) -> tuple[Opinion, Watch]:
    """Return the opinion of memory that engines take in advance: a step at a time, as long as steps help."""
    milli = 0 if isinstance(opinion.reading, NoData) else opinion.reading.milli
    due = stepped(watch, milli, asked, pool.startup_seconds, pool.now)
    useless = due is not watch and watch.granted > 0 and milli >= watch.stepped_milli * _FUTILE
    if milli > opinion.target_milli and (useless or _is_idle(load)):
        watch = replace(watch, is_futile=True)
    elif not watch.is_futile:
        watch = due
    if watch.is_futile:
        note = "device memory is high whatever the load, because engines take it in advance; use source KVBlocks"
        return replace(opinion, note=note), watch
    return replace(opinion, proposal=max(pool.current, watch.granted) if watch.granted else None), watch


def _is_idle(load: Load) -> bool:
    return total(load.queued, load.in_flight) == Fresh(0)


def _tells(reading: Reading, target_milli: int) -> bool:
    """Tell whether a figure can be used: part of it only if that part is already over the target."""
    return isinstance(reading, Fresh) or (isinstance(reading, AtLeast) and reading.milli > target_milli)
