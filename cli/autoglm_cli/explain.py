"""What a service is doing and why, told from its status. Pure: a resource in, lines out."""

from collections.abc import Iterator
from typing import Final

from autoglm_api.status import Condition, ConditionStatus, PoolStatus, Status

_BAD_WHEN_TRUE: Final = frozenset({"Degraded", "Progressing", "Paused", "ScalingLimited"})


def explanation(name: str, status: Status) -> Iterator[str]:
    """Yield the lines that tell the state of a deployment: verdict first, then its pools and their decisions."""
    conditions = status.conditions or []
    if not conditions:
        yield f"{name}: the operator has not written a status yet; is it running?"
        return
    yield f"{name}: {_verdict(conditions)}"
    if status.url:
        yield f"  address: {status.url}"
    for condition in _noteworthy(conditions):
        yield f"  {_told(condition)}"
    for pool in status.pools or []:
        yield from _pool_lines(pool)


def _verdict(conditions: list[Condition]) -> str:
    ready = next((condition for condition in conditions if condition.type == "Ready"), None)
    if ready is None:
        return "not known to be ready"
    return "ready" if ready.status is ConditionStatus.TRUE else f"NOT ready ({ready.reason}): {ready.message}"


def _noteworthy(conditions: list[Condition]) -> list[Condition]:
    """Return the conditions that a person should look at: bad ones that are true and good ones that are not."""
    return [
        condition
        for condition in conditions
        if condition.type != "Ready"
        and (condition.status is ConditionStatus.TRUE) == (condition.type in _BAD_WHEN_TRUE)
    ]


def _told(condition: Condition) -> str:
    since = condition.last_transition_time
    return f"{condition.type}={condition.status} ({condition.reason}) since {since}: {condition.message}"


def _pool_lines(pool: PoolStatus) -> Iterator[str]:
    yield (
        f"  pool {pool.name}: {pool.ready_replicas} ready of {pool.desired_replicas} desired"
        f" ({pool.replicas} exist), revision {pool.revision or 'none'}"
    )
    if pool.last_decision is not None:
        decision = pool.last_decision
        yield f"    decided {decision.replicas} at {decision.time} ({decision.reason}): {decision.message}"
    for condition in _noteworthy(pool.conditions or []):
        yield f"    {_told(condition)}"
