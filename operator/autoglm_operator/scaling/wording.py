"""The sentence that goes with a scaling decision: the figures, in a person's words."""

from collections.abc import Sequence
from typing import NamedTuple

from autoglm_api.status import Reason
from autoglm_operator.scaling.model import Proposal
from autoglm_operator.scaling.outage import Stage
from autoglm_operator.scaling.readings import REMEMBERED, AtLeast, Fresh, NoData, source_of
from autoglm_operator.scaling.signals import Opinion, winner

_WHY = {
    Reason.METRICS_MISSING: "held, because missing data is not zero load",
    Reason.SCALED_TO_ZERO: "asleep, because there is nothing to do",
    Reason.WOKEN: "woken, because something waits",
    Reason.MANUAL_ZERO: "somebody else has scaled it to 0, so it stays there until somebody scales it up",
    Reason.SCHEDULED: "a schedule gives the bound",
    Reason.FORECAST: "the forecast raises the floor",
    Reason.METRICS_FALLBACK: "every signal has been lost for long, so the fallback rules",
    Reason.ROLLING_OUT: "not shrinking during a rollout",
    Reason.STARTING: "not shrinking while replicas start",
    Reason.PANIC: "a burst passes stabilisation and rates, and the pool does not shrink until it is over",
    Reason.CAPACITY_UNCERTAIN: "not shrinking while replicas do not do what was expected of them",
    Reason.CONSOLIDATION: "fewer replicas could not carry the same load",
    Reason.INSUFFICIENT_GPU: "replicas wait for room in the cluster, so more are not asked for",
    Reason.QUOTA: "a quota refuses replicas, so more are not asked for",
    Reason.API_REFUSED: "the API server refuses replicas, so more are not asked for",
    Reason.GROWTH_FUTILE: "more replicas did not lower a latency, so it asks for no more for an hour",
    Reason.WHOLE_NODES: "rounded up to whole nodes",
    Reason.TOO_MANY_REPLICAS: "maxReplicas is the limit",
    Reason.TOO_FEW_REPLICAS: "minReplicas is the limit",
    Reason.SCALE_UP_LIMIT: "the scaleUp policies limit the rate",
    Reason.SCALE_DOWN_LIMIT: "the scaleDown policies limit the rate",
    Reason.SCALE_UP_STABILIZED: "the scaleUp window remembers a smaller size",
    Reason.SCALE_DOWN_STABILIZED: "the scaleDown window remembers a larger size",
}


class Floor(NamedTuple):
    """A size that something other than a signal asks for at least."""

    name: str
    size: int
    detail: str | None


class Told(NamedTuple):
    """All that is told of a decision."""

    said: Sequence[Opinion]
    floors: Sequence[Floor]
    current: int
    replicas: int
    reason: Reason
    problems: Sequence[str] = ()
    """What is wrong with the spec, in sentences."""


def because(told: Told) -> str:
    """Return why the size is what it is.

    >>> because(Told((), (), current=3, replicas=3, reason=Reason.DESIRED_WITHIN_RANGE))
    'stays at 3'
    """
    move = f"{told.current} -> {told.replicas}" if told.replicas != told.current else f"stays at {told.current}"
    why = f" ({_WHY[told.reason]})" if told.reason in _WHY else ""
    asks = [*_asks(winner(told.said)), *_floors(told.floors)]
    return "; ".join([*asks, f"{move}{why}", *_gaps(told.said), *_notes(told.said), *told.problems])


def winner_key(told: Told) -> str | None:
    """Return what asked for most: a signal's key, or a floor's name if that asks for more than every signal."""
    won = winner(told.said)
    size = won.proposal if won is not None and won.proposal is not None else -1
    floor = max(told.floors, key=lambda floor: floor.size, default=None)
    if floor is not None and floor.size > size:
        return floor.name
    return won.signal.key if won else None


def proposals(told: Told) -> tuple[Proposal, ...]:
    """Return a row for every signal and every floor."""
    return (*(row_for(opinion) for opinion in told.said), *(_row_of(floor) for floor in told.floors))


def figure(milli: int) -> str:
    """Return thousandths as a short decimal number.

    >>> figure(31000), figure(1500)
    ('31', '1.5')
    """
    return f"{milli / 1000:.3f}".rstrip("0").rstrip(".")


def row_for(opinion: Opinion) -> Proposal:
    """Return what a signal said, as a row of a table."""
    reading = opinion.reading
    return Proposal(
        signal=opinion.signal.key,
        value="" if isinstance(reading, NoData) else figure(reading.milli),
        target=figure(opinion.target_milli) if opinion.target_milli else "",
        proposal=opinion.proposal,
        freshness=_freshness(opinion),
        source=source_of(opinion.reading),
    )


def _row_of(floor: Floor) -> Proposal:
    source = "the spec" if floor.detail is not None else REMEMBERED
    return Proposal(floor.name, "", floor.detail or "", floor.size, str(Stage.FRESH), source)


def _freshness(opinion: Opinion) -> str:
    if opinion.stage is Stage.FRESH or isinstance(opinion.reading, Fresh):
        return str(opinion.stage)
    return f"{opinion.stage}: {opinion.reading.problem}"


def _asks(won: Opinion | None) -> list[str]:
    if won is None or isinstance(won.reading, NoData):
        return []
    least = "at least " if isinstance(won.reading, AtLeast) else ""
    usage, target = figure(won.reading.milli), figure(won.target_milli)
    return [f"{won.signal.key} {least}{usage} / {target} per replica asks for {won.proposal}"]


def _floors(floors: Sequence[Floor]) -> list[str]:
    return [
        f"{name} {detail} asks for {size}" if detail else f"{name} asks for {size}" for name, size, detail in floors
    ]


def _gaps(said: Sequence[Opinion]) -> list[str]:
    return [
        f"{opinion.signal.key}: {opinion.reading.problem} ({opinion.reading.detail})"
        for opinion in said
        if not isinstance(opinion.reading, Fresh)
    ]


def _notes(said: Sequence[Opinion]) -> list[str]:
    return [f"{opinion.signal.key}: {opinion.note}" for opinion in said if opinion.note]
