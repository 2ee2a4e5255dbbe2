"""The two classes of one deployment together: a shift of the mix reaches the growing pool before its queue forms.

The mix is the share of each pool in all offered tokens, by raw scores, before any budget or pin. It shows in the
shortest window long before the long window's mean has followed, and unlike the short rate it does not jump when all
classes burst alike. So a pool's offered rate is at least the deployment's long rate divided by the short mix, and never
more than its own short rate says.
"""

from collections.abc import Mapping
from dataclasses import replace

from autoglm_operator.scaling.model import Load
from autoglm_operator.scaling.readings import Fresh


def coupled(loads: Mapping[str, Load]) -> dict[str, Load]:
    """Return each pool's load with the shift of the mix in its offered rate: only ever raised, if all is known."""
    rates = {pool: _rates(load) for pool, load in loads.items()}
    known = {pool: pair for pool, pair in rates.items() if pair is not None}
    long, short = (sum(pair[part] for pair in known.values()) for part in (0, 1))
    if len(known) < len(loads) or len(known) < 2 or short <= 0:  # noqa: PLR2004 - one pool has no mix
        return dict(loads)
    return {pool: _shifted(loads[pool], *known[pool], long / short) for pool in loads}


def _rates(load: Load) -> tuple[int, int] | None:
    long, short = load.offered_tokens, load.offered_tokens_now
    return (long.milli, short.milli) if isinstance(long, Fresh) and isinstance(short, Fresh) else None


def _shifted(load: Load, long: int, short: int, scale: float) -> Load:
    expected = min(short, int(short * scale))
    if expected <= long or not isinstance(load.offered_tokens, Fresh):
        return load
    return replace(load, offered_tokens=replace(load.offered_tokens, milli=expected))
