"""From a pool's readings to the size that each of its signals asks for.

Each signal is an AverageValue metric of autoscaling/v2 in int64 thousandths: the size is ceil(usage / target) unless
usage / (target * replicas) is within the tolerance. Where upstream divides by status.replicas, which counts surge pods
and so shrinks in mid-rollout (kubernetes #123296), this divides by the replicas asked for.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from autoglm_api.schema import milli_units
from autoglm_api.spec import Signal, SignalType
from autoglm_operator.scaling.model import NOT_READ, Load
from autoglm_operator.scaling.readings import AtLeast, NoData, Reading, total
from autoglm_operator.scaling.rules import Tolerance

MAX_INT32 = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one signal says about the size."""

    signal: Signal
    target_milli: int
    reading: Reading
    proposal: int | None
    """The size asked for; None without data, never below the current size from part of the data."""


def average_value_replicas(usage_milli: int, target_milli: int, current: int, tolerance: Tolerance) -> int:
    """Return the size for a total usage and a target per replica, as autoscaling/v2's AverageValue."""
    supply = float(target_milli) * float(current)
    if supply > 0 and tolerance.covers(float(usage_milli) / supply):
        return current
    return min(math.ceil(float(usage_milli) / float(target_milli)), MAX_INT32)


def opinions(signals: Sequence[Signal], load: Load, current: int, tolerance: Tolerance) -> tuple[Opinion, ...]:
    """Return what each signal asks for, in the order of the signals."""
    return tuple(_opinion(signal, load, current, tolerance) for signal in signals)


def winner(said: Sequence[Opinion]) -> Opinion | None:
    """Return the first opinion with the largest proposal; None when there is none."""
    proposing = [opinion for opinion in said if opinion.proposal is not None]
    return max(proposing, key=lambda opinion: opinion.proposal or 0, default=None)


def _opinion(signal: Signal, load: Load, current: int, tolerance: Tolerance) -> Opinion:
    target = milli_units(signal.target or 1)
    reading = _reading(signal, load)
    return Opinion(signal, target, reading, _proposal(reading, target, current, tolerance))


def _reading(signal: Signal, load: Load) -> Reading:
    match signal.type:
        case SignalType.QUEUED_QUERIES_PER_REPLICA:
            return load.queued
        case SignalType.CONCURRENCY:
            return total(load.queued, load.in_flight)
        case _:
            return load.signals.get(signal.key, NOT_READ)


def _proposal(reading: Reading, target_milli: int, current: int, tolerance: Tolerance) -> int | None:
    if isinstance(reading, NoData):
        return None
    asked = average_value_replicas(reading.milli, target_milli, current, tolerance)
    return max(asked, current) if isinstance(reading, AtLeast) else asked
