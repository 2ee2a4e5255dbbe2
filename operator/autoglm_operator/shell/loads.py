"""What two sources know of one pool, made one load. Pure."""

from dataclasses import fields

from autoglm_operator.scaling.model import Load, PoolTarget
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Reading

_FIGURES = tuple(field.name for field in fields(Load) if field.name != "signals")


def unread(why: NoData, target: PoolTarget) -> Load:
    """Return a load of which nothing is known, and why."""
    return Load(**dict.fromkeys(_FIGURES, why), signals={signal.key: why for signal in target.scaling.signals})


def is_known(load: Load) -> bool:
    """Tell whether the gateways' part of a load is complete."""
    return all(isinstance(getattr(load, figure), Fresh) for figure in _FIGURES)


def is_called(load: Load) -> bool:
    """Tell whether a query is known to wait, or to have come and been taken by another class (spillover)."""
    return any(not isinstance(one, NoData) and one.milli > 0 for one in (load.queued, load.offered_tokens))


def merged(first: Load, second: Load) -> Load:
    """Return the better known of each figure; `first` where both know as much."""
    better = {figure: _better(getattr(first, figure), getattr(second, figure)) for figure in _FIGURES}
    signals = {key: _better(of, second.signals.get(key, of)) for key, of in first.signals.items()}
    return Load(**better, signals=signals)


def _better(first: Reading, second: Reading) -> Reading:
    return second if _worth(second) > _worth(first) else first


def _worth(reading: Reading) -> tuple[int, int]:
    match reading:
        case Fresh():
            return 2, 0
        case AtLeast():
            return 1, reading.milli
        case NoData():
            return 0, 0
