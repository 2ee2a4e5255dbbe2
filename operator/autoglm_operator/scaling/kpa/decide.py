"""One tick of Knative's autoscaler: stable and panic windows, rates, panic mode, scale-down delay."""

import math
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final, Self

from autoglm_operator.scaling.kpa.window import Bucket, recorded

TICK: Final = timedelta(seconds=2)
CONCURRENCY_TOTAL: Final = 100.0
RPS_TOTAL: Final = 200.0
MIN_TARGET: Final = 0.01
ACTIVATOR_CAPACITY: Final = 100.0
MIN_ACTIVATORS: Final = 2


@dataclass(frozen=True, slots=True)
class Profile:
    """The decider's settings with Knative's defaults; `target` is per pod, utilisation already applied."""

    target: float = 70.0
    total: float = 100.0
    stable_window: timedelta = timedelta(seconds=60)
    panic_threshold: float = 2.0
    max_scale_up_rate: float = 1000.0
    max_scale_down_rate: float = 2.0
    activation_scale: int = 1
    scale_down_delay: timedelta = timedelta(0)
    target_burst_capacity: float = 211.0
    reachable: bool = True

    @classmethod
    def of(cls, total: float, utilization: float = 0.7, **settings: Any) -> Self:
        """Return a profile whose target is the total (queries at once, or queries/s) times the utilisation."""
        return cls(target=max(MIN_TARGET, total * utilization), total=total, **settings)


@dataclass(frozen=True, slots=True)
class Memory:
    """Since when it panics, the most it panicked for, and the sizes of the delay window."""

    panic_at: datetime | None = None
    max_panic_pods: int = 0
    delayed: tuple[Bucket, ...] = ()


@dataclass(frozen=True, slots=True)
class Scale:
    """The wanted size; `size` None without data: keep. Negative burst capacity puts the activator in the path."""

    size: int | None
    excess_burst_capacity: float
    panicking: bool


def started(ready: int, now: datetime) -> Memory:
    """Return the memory of a new autoscaler: over one pod it starts in panic, so a restart never shrinks."""
    return Memory(panic_at=now if ready > 1 else None, max_panic_pods=ready)


def decide(
    stable: float | None, panic: float | None, ready: int, profile: Profile, memory: Memory, now: datetime
) -> tuple[Scale, Memory]:
    """Return the size for the averages of both windows (totals over all pods), and the memory for the next tick.

    `stable` None means no data: the size is kept and nothing is remembered. A `panic` window without data while the
    stable one has some counts as 0, as upstream.

    | panicking | wanted/ready of the panic window | panicked longer than the stable window | then           |
    |-----------|----------------------------------|----------------------------------------|----------------|
    | no        | below the threshold              | -                                      | stable         |
    | any       | at or above the threshold        | -                                      | panic, renewed |
    | yes       | below                            | no                                     | panic          |
    | yes       | below                            | yes                                    | stable         |
    """
    if stable is None:
        return Scale(None, 0.0, memory.panic_at is not None), memory
    panic = panic or 0.0
    pods = max(1.0, float(ready))
    wanted_stable, wanted_panic = math.ceil(stable / profile.target), math.ceil(panic / profile.target)
    memory = _panicked(memory, profile, now, is_over=wanted_panic / pods >= profile.panic_threshold)
    size = _rated(wanted_stable, pods, profile)
    if memory.panic_at is not None:
        size = max(memory.max_panic_pods, size, _rated(wanted_panic, pods, profile))
        memory = replace(memory, max_panic_pods=size)
    size, memory = _delayed(size, profile, memory, now)
    capacity = _excess_burst_capacity(ready, panic, profile)
    return Scale(size, capacity, memory.panic_at is not None), memory


def activators(ready: int, profile: Profile) -> int:
    """Return how many activators stand in the path: at least 2, and no more when none is wanted in it."""
    if profile.target_burst_capacity == 0:
        return MIN_ACTIVATORS
    to_cover = ready * profile.total + max(0.0, profile.target_burst_capacity)
    return max(MIN_ACTIVATORS, math.ceil(to_cover / ACTIVATOR_CAPACITY))


def _rated(wanted: int, pods: float, profile: Profile) -> int:
    lowest = math.floor(pods / profile.max_scale_down_rate) if profile.reachable else 0
    highest = math.ceil(profile.max_scale_up_rate * pods)
    size = min(max(wanted, lowest), highest)
    return max(size, profile.activation_scale) if wanted > 0 and profile.activation_scale > 1 else size


def _panicked(memory: Memory, profile: Profile, now: datetime, *, is_over: bool) -> Memory:
    if is_over:
        return replace(memory, panic_at=now)
    if memory.panic_at is not None and memory.panic_at + profile.stable_window < now:
        return replace(memory, panic_at=None, max_panic_pods=0)
    return memory


def _delayed(size: int, profile: Profile, memory: Memory, now: datetime) -> tuple[int, Memory]:
    if not profile.reachable or profile.scale_down_delay <= timedelta(0):
        return size, memory
    index = int(now.timestamp()) // int(TICK.total_seconds())
    delayed = recorded(memory.delayed, index, size, math.ceil(profile.scale_down_delay / TICK))
    return int(delayed[0].value), replace(memory, delayed=delayed)


def _excess_burst_capacity(ready: int, panic: float, profile: Profile) -> float:
    match profile.target_burst_capacity:
        case 0:
            return 0.0
        case burst if burst > 0:
            return math.floor(ready * profile.total - burst - panic)
        case _:
            return -1.0
