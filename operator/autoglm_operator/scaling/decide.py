"""The size of one pool, and why: `decide(snapshot, scaling, state, now)`. The first row that fits decides.

| situation                                          | size                          | reason               |
|----------------------------------------------------|-------------------------------|----------------------|
| a pool that may sleep has nothing to do            | 0                             | ScaledToZero         |
| a sleeping pool has something to do                | activationReplicas, or more   | Woken                |
| somebody else has put the pool to sleep            | 0                             | ManualZero           |
| above max or below min                             | max or min at once            | TooMany, TooFew      |
| the same, because of a schedule                    | that of the schedule          | Scheduled            |
| a burst                                            | grows past rates, no shrinking| Panic                |
| every signal has long been lost                    | the fallback, by the behaviour| MetricsFallback      |
| some signal lacks data, the others would shrink    | held                          | MetricsMissing       |
| would grow while replicas find no room             | held                          | InsufficientGPU,     |
|                                                    |                               | QuotaExceeded, ...   |
| would shrink while two revisions have pods         | held                          | RollingOut           |
| would shrink while replicas start                  | held, for STARTING_HOLD       | Starting             |
| would shrink while a replica's capacity is in doubt| held                          | CapacityUncertain    |
| would shrink soon after it has grown               | held, two scaleDown windows   | ScaleDownStabilized  |
| the rest of the replicas could not carry the load  | held, or shrinks less         | ConsolidationUnsafe  |
| a latency does not get better by growing           | by the other signals          | GrowthFutile         |
| granularity is Node, a node would be half used     | rounded up to whole nodes     | WholeNodes           |
| else                                               | by the behaviour              | as the behaviour     |

The size that the signals ask for is the largest proposal, so a pool grows if any asks for more and shrinks only if all
agree. Once any signal has lacked data for RECENT_FOR the held size is what the history remembers, so after a recovery a
full stabilisation window passes before the pool shrinks. The same holds for a new state: the first decision remembers
the current size. A replica that has not become ready for STARTING_HOLD without any progress is stuck rather than
starting, and no longer keeps the pool big.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from autoglm_api.spec import Granularity, Scaling
from autoglm_api.status import Reason
from autoglm_operator.scaling.behavior import Normalized, normalize
from autoglm_operator.scaling.case import Case, case_of
from autoglm_operator.scaling.history import History, newest, newest_change
from autoglm_operator.scaling.model import PoolDecision, PoolSnapshot
from autoglm_operator.scaling.outage import Stage, fallback_size, held_size
from autoglm_operator.scaling.room import whole_nodes
from autoglm_operator.scaling.rules import DOWNSCALE_STABILIZATION, complete
from autoglm_operator.scaling.state import Asked, PoolState, taken_in, without_room
from autoglm_operator.scaling.wording import Floor, Told, because, proposals, winner_key

__all__ = ["STARTING_HOLD", "PoolState", "decide"]

STARTING_HOLD: Final = timedelta(seconds=300)
GROWN_WINDOWS: Final = 2
"""For so many scaleDown windows a pool that has grown does not shrink."""


class _Verdict(NamedTuple):
    replicas: int
    reason: Reason
    limited: Reason | None
    history: History


def decide(snapshot: PoolSnapshot, scaling: Scaling, state: PoolState, now: datetime) -> tuple[PoolDecision, PoolState]:
    """Return the size that the pool should have now and the state for the next decision; pure."""
    case = case_of(snapshot, scaling, taken_in(state, snapshot, scaling, now), now)
    verdict = _slept(case) or _out_of_bounds(case) or _by_nodes(case, _with_room(case, _by_signals(case)))
    asked = Asked(snapshot.current, now) if verdict.replicas != snapshot.current else case.state.asked
    return _told(case, verdict), replace(case.state, history=verdict.history, asked=asked)


def _slept(case: Case) -> _Verdict | None:
    size, reason, history = case.sleep.size, case.sleep.reason, case.state.history
    if size is None or reason is None:
        return None
    if reason is Reason.WOKEN:
        size = max(size, min(case.asked, case.bounds.maximum))
    elif size < case.current and case.snapshot.rolling_out:
        return _Verdict(case.current, Reason.ROLLING_OUT, None, history)
    return _Verdict(size, reason, None, history)


def _out_of_bounds(case: Case) -> _Verdict | None:
    history, (minimum, maximum) = case.state.history, case.bounds
    if case.current > maximum:
        planned = maximum < case.scaling.max_replicas
        return _Verdict(maximum, Reason.SCHEDULED if planned else Reason.TOO_MANY_REPLICAS, None, history)
    if case.current < minimum:
        planned = case.schedule.name is not None
        return _Verdict(minimum, Reason.SCHEDULED if planned else Reason.TOO_FEW_REPLICAS, None, history)
    return None


def _by_signals(case: Case) -> _Verdict:
    """Return the verdict of the signals; a latency that growing does not help is its limit, if nothing else is."""
    verdict = _by_proposals(case)
    if verdict.limited is not None or not any(opinion.is_vain for opinion in case.said):
        return verdict
    is_plain = verdict.reason is Reason.DESIRED_WITHIN_RANGE
    return verdict._replace(reason=Reason.GROWTH_FUTILE if is_plain else verdict.reason, limited=Reason.GROWTH_FUTILE)


def _by_proposals(case: Case) -> _Verdict:
    proposal, lack = _proposal(case)
    normalized = normalize(
        proposal,
        current=case.current,
        bounds=case.bounds,
        behavior=case.scaling.behavior,
        history=case.state.history,
        now=case.now,
        recorded=_recorded(case, proposal),
    )
    if case.panics:
        return _in_panic(case, normalized)
    held = _hold(normalized, case)
    if held is None and lack is not None and (lack is Reason.METRICS_FALLBACK or normalized.replicas <= case.current):
        return _Verdict(normalized.replicas, lack, None, normalized.history)
    if held is not None:
        return _Verdict(case.current, held, None, normalized.history)
    return _consolidated(case, normalized)


def _proposal(case: Case) -> tuple[int, Reason | None]:
    """Return the size asked for, and what the lack of data has to do with it."""
    if case.stages <= {Stage.FRESH}:
        return case.asked, None
    fallback = case.scaling.fallback
    if case.stages == {Stage.LOST}:
        return fallback_size(fallback, case.current, *case.bounds), Reason.METRICS_FALLBACK
    blind = case.stages <= {Stage.HELD, Stage.LOST}
    least = held_size(fallback, case.current, *case.bounds) if blind else case.current
    return max(case.asked, least), Reason.METRICS_MISSING


def _recorded(case: Case, proposal: int) -> int:
    """Return what the history is to remember of a proposal.

    A short gap holds the size, but it is no proposal for it: if it were, one lost scrape in every scaleDown window
    would keep a pool big for ever. What was asked for last stands until the gap is longer than RECENT_FOR.
    """
    is_short = case.stages <= {Stage.FRESH, Stage.RECENT} and Stage.RECENT in case.stages
    if not is_short or proposal > case.current:
        return proposal
    known = [opinion.proposal for opinion in case.said if opinion.stage is Stage.FRESH]
    return max([newest(case.state.history), *(size for size in known if size is not None)])


def _in_panic(case: Case, normalized: Normalized) -> _Verdict:
    wanted = max(case.state.panic.size, normalized.replicas, case.current)
    replicas = min(wanted, case.bounds.maximum)
    limited = Reason.TOO_MANY_REPLICAS if replicas < wanted else None
    return _Verdict(replicas, Reason.PANIC, limited, normalized.history)


def _hold(normalized: Normalized, case: Case) -> Reason | None:
    """Return why the pool must not shrink now, or None."""
    if normalized.replicas >= case.current:
        return None
    if case.snapshot.rolling_out:
        return Reason.ROLLING_OUT
    starting = case.state.starting
    if starting is not None and starting.whole_since is None and case.now - starting.since < STARTING_HOLD:
        return Reason.STARTING
    if case.pool.capacity is not None and case.pool.capacity.is_uncertain:
        return Reason.CAPACITY_UNCERTAIN
    return Reason.SCALE_DOWN_STABILIZED if _has_just_grown(case) else None


def _has_just_grown(case: Case) -> bool:
    """Tell whether the pool has grown within GROWN_WINDOWS: load that comes in waves would make it swing."""
    behavior, grown_at = case.scaling.behavior, newest_change(case.state.history.grown)
    window = DOWNSCALE_STABILIZATION if behavior is None else complete(behavior).down.window
    return grown_at is not None and case.now - grown_at < GROWN_WINDOWS * window


def _consolidated(case: Case, normalized: Normalized) -> _Verdict:
    limited = normalized.reason if normalized.is_limited else None
    floor = max((opinion.fits for opinion in case.said), default=0)
    if normalized.replicas >= min(floor, case.current):
        return _Verdict(normalized.replicas, _reason(normalized, case), limited, normalized.history)
    replicas = min(floor, case.current)
    return _Verdict(replicas, Reason.CONSOLIDATION, Reason.CONSOLIDATION, normalized.history)


def _with_room(case: Case, verdict: _Verdict) -> _Verdict:
    if verdict.replicas <= case.current or not without_room(case.snapshot):
        return verdict
    return _Verdict(case.current, case.snapshot.no_room, case.snapshot.no_room, verdict.history)


def _by_nodes(case: Case, verdict: _Verdict) -> _Verdict:
    room, is_refused = case.snapshot.room, case.snapshot.no_room is not Reason.INSUFFICIENT_GPU
    if room is None or is_refused or without_room(case.snapshot) or case.scaling.granularity is not Granularity.NODE:
        return verdict
    size = whole_nodes(verdict.replicas, case.current, case.snapshot.unschedulable, room, case.bounds.maximum)
    return verdict if size == verdict.replicas else verdict._replace(replicas=size, reason=Reason.WHOLE_NODES)


def _reason(normalized: Normalized, case: Case) -> Reason:
    if normalized.is_limited:
        planned = normalized.reason is Reason.TOO_FEW_REPLICAS and case.schedule.name is not None
        return Reason.SCHEDULED if planned else normalized.reason
    if normalized.stabilization is not None:
        return normalized.stabilization
    return Reason.FORECAST if case.forecast == normalized.stabilized > _by_signals_alone(case) else normalized.reason


def _by_signals_alone(case: Case) -> int:
    return max((opinion.proposal for opinion in case.said if opinion.proposal is not None), default=0)


def _told(case: Case, verdict: _Verdict) -> PoolDecision:
    problems = (*case.schedule.problems, *_room_words(case, verdict))
    told = Told(case.said, _floors(case), case.current, verdict.replicas, verdict.reason, problems)
    return PoolDecision(
        replicas=verdict.replicas,
        reason=verdict.reason,
        winner=winner_key(told),
        message=because(told),
        metrics_available=case.stages <= {Stage.FRESH},
        limited=verdict.limited,
        at=case.now,
        proposals=proposals(told),
    )


def _room_words(case: Case, verdict: _Verdict) -> tuple[str, ...]:
    room = case.snapshot.room
    matters = {verdict.reason, verdict.limited} & {Reason.INSUFFICIENT_GPU, Reason.WHOLE_NODES}
    return (room.words,) if room is not None and matters else ()


def _floors(case: Case) -> tuple[Floor, ...]:
    floors = [Floor("Schedule", case.schedule.minimum, case.schedule.name)] if case.schedule.name else []
    if case.forecast is not None:
        floors.append(Floor("Forecast", case.forecast, None))
    if case.panics:
        floors.append(Floor("Panic", case.state.panic.size, None))
    return tuple(floors)
