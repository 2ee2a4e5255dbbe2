"""A pool's load after the outage ladder: every reading that its signals use, as it may be used."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from autoglm_api.spec import Signal, SignalType
from autoglm_operator.scaling.model import NOT_READ, Load
from autoglm_operator.scaling.outage import Assessed, SignalMemory, Stage, assess
from autoglm_operator.scaling.readings import Reading

_SOURCES: Final[Mapping[SignalType, tuple[str, ...]]] = {
    SignalType.TOKEN_DEMAND: ("offered_tokens", "queued_tokens"),
    SignalType.QUEUED_QUERIES_PER_REPLICA: ("queued",),
    SignalType.CONCURRENCY: ("queued", "in_flight"),
}
_FIELDS: Final = frozenset(source for sources in _SOURCES.values() for source in sources)
_WORST: Final = tuple(Stage)


@dataclass(frozen=True, slots=True)
class Observation:
    """The load as it may be used, and how far each reading is from complete."""

    load: Load
    readings: Mapping[str, Assessed]

    def stage_of(self, signal: Signal) -> Stage:
        """Return the worst stage of the readings that a signal needs."""
        return max((self.readings[source].stage for source in sources_of(signal)), key=_WORST.index)

    @property
    def memories(self) -> dict[str, SignalMemory]:
        """What to remember of every reading."""
        return {source: assessed.memory for source, assessed in self.readings.items()}


def sources_of(signal: Signal) -> tuple[str, ...]:
    """Return the readings that a signal needs: fields of the load, or its own key."""
    return _SOURCES.get(signal.type, (signal.key,))


def observe(
    signals: Sequence[Signal], load: Load, memories: Mapping[str, SignalMemory], now: datetime, lost_after: timedelta
) -> Observation:
    """Return the load as the ladder leaves it, one reading at a time."""
    readings = {
        source: assess(_reading(load, source), memories.get(source, SignalMemory()), now, lost_after=lost_after)
        for source in _all_sources(signals)
    }
    fields = {source: one.reading for source, one in readings.items() if source in _FIELDS}
    others = {source: one.reading for source, one in readings.items() if source not in _FIELDS}
    return Observation(replace(load, **fields, signals=others), readings)


def _all_sources(signals: Iterable[Signal]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(source for signal in signals for source in sources_of(signal)))


def _reading(load: Load, source: str) -> Reading:
    if source not in _FIELDS:
        return load.signals.get(source, NOT_READ)
    reading: Reading = getattr(load, source)
    return reading
