"""The sentence that goes with a scaling decision: the figures, in a person's words."""

from collections.abc import Sequence

from autoglm_api.status import Reason
from autoglm_operator.scaling.model import Proposal
from autoglm_operator.scaling.outage import Stage
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData
from autoglm_operator.scaling.signals import Opinion

_WHY = {
    Reason.METRICS_MISSING: "held, because missing data is not zero load",
    Reason.METRICS_FALLBACK: "every signal has been lost for long, so the fallback rules",
    Reason.ROLLING_OUT: "not shrinking during a rollout",
    Reason.STARTING: "not shrinking while replicas start",
    Reason.PANIC: "a burst passes stabilisation and rates, and the pool does not shrink until it is over",
    Reason.CAPACITY_UNCERTAIN: "not shrinking while replicas do not do what was expected of them",
    Reason.CONSOLIDATION: "fewer replicas could not carry the same load",
    Reason.INSUFFICIENT_GPU: "replicas wait for room in the cluster, so more are not asked for",
    Reason.TOO_MANY_REPLICAS: "maxReplicas is the limit",
    Reason.TOO_FEW_REPLICAS: "minReplicas is the limit",
    Reason.SCALE_UP_LIMIT: "the scaleUp policies limit the rate",
    Reason.SCALE_DOWN_LIMIT: "the scaleDown policies limit the rate",
    Reason.SCALE_UP_STABILIZED: "the scaleUp window remembers a smaller size",
    Reason.SCALE_DOWN_STABILIZED: "the scaleDown window remembers a larger size",
}


def because(said: Sequence[Opinion], won: Opinion | None, *, current: int, replicas: int, reason: Reason) -> str:
    """Return why the size is what it is.

    >>> because((), None, current=3, replicas=3, reason=Reason.DESIRED_WITHIN_RANGE)
    'stays at 3'
    """
    move = f"{current} -> {replicas}" if replicas != current else f"stays at {current}"
    why = f" ({_WHY[reason]})" if reason in _WHY else ""
    return "; ".join([*_asks(won), f"{move}{why}", *_gaps(said), *_notes(said)])


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
    )


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


def _gaps(said: Sequence[Opinion]) -> list[str]:
    return [
        f"{opinion.signal.key}: {opinion.reading.problem} ({opinion.reading.detail})"
        for opinion in said
        if not isinstance(opinion.reading, Fresh)
    ]


def _notes(said: Sequence[Opinion]) -> list[str]:
    return [f"{opinion.signal.key}: {opinion.note}" for opinion in said if opinion.note]
