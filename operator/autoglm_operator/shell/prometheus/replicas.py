"""From the rows of one kind to each pool's reading: out of range, silent or missing replicas are never 0. Pure."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from autoglm_api import names
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading
from autoglm_operator.shell.prometheus.figures import float_of, number_of
from autoglm_operator.shell.prometheus.kinds import Part
from autoglm_operator.shell.prometheus.query import SERIES_LABEL
from autoglm_operator.shell.prometheus.reply import Row
from autoglm_operator.shell.prometheus.wanted import Kind

SHARES: Final = frozenset({Kind.KV_CACHE, Kind.GPU_UTILIZATION, Kind.GPU_MEMORY})
_PARTS: Final = {part.value: part for part in Part}
LARGEST_PERCENT: Final = 100.0
LARGEST_MILLISECONDS: Final = 3_600_000.0


class PoolKey(NamedTuple):
    """One pool of one deployment."""

    deployment: ObjectKey
    pool: str


Parts = Mapping[Part, tuple[str, ...]]


def parts_of(rows: Iterable[Row]) -> dict[PoolKey, dict[Part, tuple[str, ...]]]:
    """Return the values of each pool by part; a row of nobody, or of another question, is left out."""
    found: dict[PoolKey, dict[Part, tuple[str, ...]]] = {}
    for row in rows:
        try:
            part = _PARTS[row.labels[SERIES_LABEL]]
            key = ObjectKey(row.labels[names.SERIES_LABEL_NAMESPACE], row.labels[names.SERIES_LABEL_DEPLOYMENT])
            pool = PoolKey(key, row.labels[names.SERIES_LABEL_POOL])
        except KeyError:
            continue
        values = found.setdefault(pool, {})
        values[part] = (*values.get(part, ()), row.sample.value)
    return found


def reading_of(kind: Kind, parts: Parts, *, current: int, fresh_seconds: float) -> Reading:
    """Return a pool's percentage or latency in thousandths; `current` is the size of the pool.

    What workers said longer than `fresh_seconds` ago is stale.
    """
    if current == 0 and Part.REPORTING not in parts:
        return Fresh(0)  # nobody there uses anything
    if any(len(values) > 1 for values in parts.values()):
        return NoData(Problem.DUPLICATE, "several series where one belongs")
    age = float_of(parts[Part.AGE][0]) if Part.AGE in parts else None
    if age is not None and age > fresh_seconds:
        return NoData(Problem.STALE, f"{age:.0f} s old, {fresh_seconds:.0f} s allowed")
    return _share(parts) if kind in SHARES else _latency(parts)


def _share(parts: Parts) -> Reading:
    reporting, valid = _count(parts, Part.REPORTING), _count(parts, Part.VALID)
    value = parts.get(Part.VALUE)
    if not reporting:
        return NoData(Problem.MISSING, "no replica reports it")
    if value is None or not valid:
        return NoData(Problem.OUT_OF_RANGE, f"{reporting} replicas report what is no percentage")
    reading = number_of(value[0], LARGEST_PERCENT)
    if valid < reporting and isinstance(reading, Fresh):
        told = f"{reporting - valid} of {reporting} replicas report what is no percentage"
        return AtLeast(reading.milli, Problem.OUT_OF_RANGE, told)
    return _covered(reading, valid, parts)


def _latency(parts: Parts) -> Reading:
    reporting = _count(parts, Part.REPORTING)
    if not reporting:
        return NoData(Problem.MISSING, "no replica reports it")
    rate = number_of(parts[Part.RATE][0]) if Part.RATE in parts else NoData(Problem.MISSING, "no rate yet")
    if not isinstance(rate, Fresh):
        return rate
    if rate.milli == 0 and float_of(parts[Part.RATE][0]) == 0:
        return _covered(Fresh(0), reporting, parts)  # measured, and nobody asked
    reading = number_of(parts[Part.VALUE][0], LARGEST_MILLISECONDS) if Part.VALUE in parts else rate
    if isinstance(reading, Fresh) and Part.QUEUE in parts:
        queue = number_of(parts[Part.QUEUE][0], LARGEST_MILLISECONDS)
        reading = Fresh(reading.milli + (queue.milli if isinstance(queue, Fresh) else 0))
    return _covered(reading, reporting, parts)


def _covered(reading: Reading, reporting: int, parts: Parts) -> Reading:
    workers = _count(parts, Part.WORKERS)
    if reporting < workers and isinstance(reading, Fresh):
        return AtLeast(reading.milli, Problem.PARTIAL, f"{reporting} of {workers} replicas report")
    return reading


def _count(parts: Parts, part: Part) -> int:
    counted = number_of(parts[part][0]) if part in parts else None
    return counted.milli // 1000 if isinstance(counted, Fresh) else 0
