"""The size of one pool, and why: `decide(snapshot, scaling, state, now)`.

| situation                                          | size                          | reason            |
|----------------------------------------------------|-------------------------------|-------------------|
| above max or below min                             | max or min at once            | TooMany, TooFew   |
| no signal has data                                 | held                          | MetricsMissing    |
| some signal lacks data, the others would shrink    | held                          | MetricsMissing    |
| some signal lacks data, the others would grow      | grows by the behaviour        | as the behaviour  |
| would shrink while two revisions have pods         | held                          | RollingOut        |
| would shrink while replicas start                  | held, for STARTING_HOLD       | Starting          |
| else                                               | by the behaviour              | as the behaviour  |

While any signal lacks data the held size is what the history remembers, so after a recovery a full stabilisation
window passes before the pool shrinks. The same holds for a new state: the first decision remembers the current size.
A replica that has not become ready for STARTING_HOLD without any progress is stuck rather than starting, and no longer
keeps the pool big.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from autoglm_api.spec import Behavior, Scaling
from autoglm_api.status import Reason
from autoglm_operator.scaling.behavior import Bounds, Normalized, carried_out, normalize
from autoglm_operator.scaling.history import History, seeded
from autoglm_operator.scaling.model import PoolDecision, PoolSnapshot
from autoglm_operator.scaling.readings import Fresh
from autoglm_operator.scaling.rules import tolerance_of
from autoglm_operator.scaling.signals import Opinion, opinions, winner
from autoglm_operator.scaling.wording import because

STARTING_HOLD: Final = timedelta(seconds=300)
ASK_MEMORY: Final = timedelta(seconds=60)
"""How long a decided size may take to show before it counts as refused."""


class Asked(NamedTuple):
    """A size that was decided and that the cluster may not show yet."""

    before: int
    at: datetime


class Starting(NamedTuple):
    """Since when, at this size and ready count, replicas have made no progress towards ready."""

    current: int
    ready: int
    since: datetime


@dataclass(frozen=True, slots=True)
class PoolState:
    """What one pool's decisions remember; bounded by the longest window divided by the tick."""

    history: History = field(default_factory=History)
    asked: Asked | None = None
    starting: Starting | None = None


class _Verdict(NamedTuple):
    replicas: int
    reason: Reason
    limited: Reason | None
    history: History


def decide(snapshot: PoolSnapshot, scaling: Scaling, state: PoolState, now: datetime) -> tuple[PoolDecision, PoolState]:
    """Return the size that the pool should have now and the state for the next decision; pure."""
    current = snapshot.current
    state = _observed(state, snapshot, scaling.behavior, now)
    said = opinions(scaling.signals, snapshot.load, current, tolerance_of(scaling.behavior))
    verdict = _out_of_bounds(current, scaling, state.history) or _by_signals(snapshot, scaling, state, said, now)
    won = winner(said)
    decision = PoolDecision(
        replicas=verdict.replicas,
        reason=verdict.reason,
        winner=won.signal.key if won else None,
        message=because(said, won, current=current, replicas=verdict.replicas, reason=verdict.reason),
        metrics_available=_all_fresh(said),
        limited=verdict.limited,
        at=now,
    )
    asked = Asked(current, now) if verdict.replicas != current else state.asked
    return decision, replace(state, history=verdict.history, asked=asked)


def _observed(state: PoolState, snapshot: PoolSnapshot, behavior: Behavior | None, now: datetime) -> PoolState:
    """Take in what the cluster shows: a size change counts only once it was carried out."""
    history, asked = seeded(state.history, snapshot.current, now), state.asked
    if asked is not None and snapshot.current != asked.before:
        history = carried_out(history, behavior, before=asked.before, after=snapshot.current, at=asked.at)
    if asked is not None and (snapshot.current != asked.before or now - asked.at > ASK_MEMORY):
        asked = None
    return PoolState(history, asked, _starting(state.starting, snapshot, now))


def _starting(known: Starting | None, snapshot: PoolSnapshot, now: datetime) -> Starting | None:
    if snapshot.ready >= snapshot.current:
        return None
    if known is None or known.current != snapshot.current or snapshot.ready > known.ready:
        return Starting(snapshot.current, snapshot.ready, now)
    return known


def _out_of_bounds(current: int, scaling: Scaling, history: History) -> _Verdict | None:
    if current > scaling.max_replicas:
        return _Verdict(scaling.max_replicas, Reason.TOO_MANY_REPLICAS, None, history)
    if current < scaling.min_replicas:
        return _Verdict(scaling.min_replicas, Reason.TOO_FEW_REPLICAS, None, history)
    return None


def _by_signals(
    snapshot: PoolSnapshot, scaling: Scaling, state: PoolState, said: tuple[Opinion, ...], now: datetime
) -> _Verdict:
    current = snapshot.current
    proposal = max((opinion.proposal for opinion in said if opinion.proposal is not None), default=current)
    lacks_data = not _all_fresh(said) and proposal <= current
    normalized = normalize(
        current if lacks_data else proposal,
        current=current,
        bounds=Bounds(scaling.min_replicas, scaling.max_replicas),
        behavior=scaling.behavior,
        history=state.history,
        now=now,
    )
    held = Reason.METRICS_MISSING if lacks_data else _hold(normalized, snapshot, state.starting, now)
    if held is not None:
        return _Verdict(current, held, None, normalized.history)
    limited = normalized.reason if normalized.is_limited else None
    return _Verdict(normalized.replicas, _reason(normalized), limited, normalized.history)


def _hold(normalized: Normalized, snapshot: PoolSnapshot, starting: Starting | None, now: datetime) -> Reason | None:
    """Return why the pool must not shrink now, or None."""
    if normalized.replicas >= snapshot.current:
        return None
    if snapshot.rolling_out:
        return Reason.ROLLING_OUT
    if starting is not None and now - starting.since < STARTING_HOLD:
        return Reason.STARTING
    return None


def _reason(normalized: Normalized) -> Reason:
    if normalized.is_limited or normalized.stabilization is None:
        return normalized.reason
    return normalized.stabilization


def _all_fresh(said: tuple[Opinion, ...]) -> bool:
    return all(isinstance(opinion.reading, Fresh) for opinion in said)
