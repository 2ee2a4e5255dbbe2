"""Events: what changed between two statuses, and what was repaired."""

from collections.abc import Iterable, Iterator
from typing import Final

from autoglm_api.status import Condition, ConditionStatus, ConditionType, PoolStatus, Status
from autoglm_operator.core.deployment import condition
from autoglm_operator.core.outcome import Action, Apply, Delete, Event
from autoglm_operator.core.repair.plan import is_repair
from autoglm_operator.core.scaling_status import ADVICE

# The status of these types that is bad news.
_BAD: Final = {
    ConditionType.READY: ConditionStatus.FALSE,
    ConditionType.GATEWAY_READY: ConditionStatus.FALSE,
    ConditionType.DEGRADED: ConditionStatus.TRUE,
    ConditionType.PAUSED: None,
}


def events(before: Status, after: Status, actions: Iterable[Action]) -> tuple[Event, ...]:
    """Return one event per transition; a status that stays gives none."""
    return (*_conditions(before, after), *_pools(before, after), *_repairs(actions))


def _conditions(before: Status, after: Status) -> Iterator[Event]:
    for kind, bad in _BAD.items():
        old, new = condition(before.conditions, kind), condition(after.conditions, kind)
        if new is not None and _is_news(old, new, bad):
            yield Event(new.reason, f"{kind}: {new.message}", warning=new.status == bad)


def _is_news(old: Condition | None, new: Condition, bad: ConditionStatus | None) -> bool:
    """Tell whether a user should hear of it: another status, or another fault behind Degraded.

    A first status is news only where it is a fault: nobody needs to read that a new service is not ready yet.
    """
    if old is None:
        return new.type == ConditionType.DEGRADED and new.status == bad
    other_fault = new.type == ConditionType.DEGRADED and old.reason != new.reason
    return old.status != new.status or other_fault


def _pools(before: Status, after: Status) -> Iterator[Event]:
    known = {pool.name: pool for pool in before.pools or ()}
    for pool in after.pools or ():
        if pool.name in known:
            yield from _pool(known[pool.name], pool)


def _pool(before: PoolStatus, after: PoolStatus) -> Iterator[Event]:
    if before.desired_replicas != after.desired_replicas:
        yield Event("Scaled", f"pool {after.name}: {before.desired_replicas} -> {after.desired_replicas}{_why(after)}")
    conflict = condition(after.conditions, ConditionType.SCALING_CONFLICT)
    known = condition(before.conditions, ConditionType.SCALING_CONFLICT)
    if conflict is not None and conflict.status != (ConditionStatus.FALSE if known is None else known.status):
        yield Event(conflict.reason, f"pool {after.name}: {conflict.message}", conflict.status == ConditionStatus.TRUE)
    if before.revision not in (None, after.revision):
        yield Event("RolloutStarted", f"pool {after.name}: revision {before.revision} -> {after.revision}")


def _why(pool: PoolStatus) -> str:
    """Return the decision behind a size; advice is behind none."""
    decision = pool.last_decision
    return "" if decision is None or decision.message.startswith(ADVICE) else f": {decision.message}"


def _repairs(actions: Iterable[Action]) -> Iterator[Event]:
    for action in actions:
        match action:
            case Apply() if is_repair(action):
                yield Event("Repaired", f"{action.ref}: {action.because}")
            case Delete():
                yield Event("Removed", f"{action.ref}: {action.because}")
            case _:
                pass
