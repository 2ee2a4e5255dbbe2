"""Who else writes a pool's size: autoscalers of somebody else, and writers that do not give up.

| seen | what follows |
|---|---|
| an HPA or a KEDA ScaledObject scales one of the pool's Deployments | conflict, until it is gone |
| one scales the AutoGLMPoolScale of a pool whose mode is not External | conflict, until it is gone |
| somebody else set a Deployment's replicas, now and then | undone, as any edit |
| the same LIMIT times within WINDOW | conflict, until TRUCE has passed without another change |
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from autoglm_api import names
from autoglm_api.spec import Mode, Pool
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.keys import JSON
from autoglm_operator.core.observed import Child, Observed
from autoglm_operator.core.pool_scale import is_external, scale_ref

WINDOW: Final = timedelta(seconds=60)
LIMIT: Final = 3
TRUCE: Final = timedelta(minutes=5)

_DEPLOYMENT: Final = "Deployment"
_OURS: Final = (names.FIELD_MANAGER, names.FIELD_MANAGER_SCALE)


@dataclass(frozen=True, slots=True)
class Dispute:
    """What somebody else has done to the size of one pool's Deployments."""

    writer: str
    """Who it was, in words."""
    seen: str
    """Their last change, so that it is counted once."""
    changes: tuple[datetime, ...]
    """When they changed it, as far as that lies within WINDOW."""
    until: datetime | None = None
    """End of the truce; None: their changes are undone."""


@dataclass(frozen=True, slots=True)
class _Change:
    """A size that somebody else has set."""

    writer: str
    identity: str


def conflict_of(deployment: Deployment, pool: Pool, observed: Observed, dispute: Dispute | None) -> str:
    """Return who else writes the pool's size, and what to do about it; empty when nobody does."""
    rivals = ", ".join(_rivals(deployment, pool, observed))
    if rivals:
        return f"{rivals}: {_way_out(deployment, pool)}"
    return f"{dispute.writer}: {_way_out(deployment, pool)}" if dispute is not None and dispute.until else ""


def disputes_of(
    deployment: Deployment, observed: Observed, before: Mapping[str, Dispute], now: datetime
) -> dict[str, Dispute]:
    """Return the disputes that go on, by pool.

    Where the operator writes no size there is nothing to dispute, and an autoscaler's name says more than its writes.
    """
    found = {
        pool.name: _dispute(_change(deployment, pool, observed), before.get(pool.name), now)
        for pool in deployment.spec.pools
        if pool.scaling.mode is not Mode.ADVISORY and not any(_rivals(deployment, pool, observed))
    }
    return {name: one for name, one in found.items() if one is not None}


def truce_left(disputes: Iterable[Dispute], now: datetime) -> timedelta | None:
    """Return when the first truce ends; None when there is none."""
    return min((one.until - now for one in disputes if one.until is not None), default=None)


def _rivals(deployment: Deployment, pool: Pool, observed: Observed) -> Iterator[str]:
    targets = {child.ref for child in _deployments(deployment, pool, observed)}
    if not is_external(pool):
        targets.add(scale_ref(deployment, pool))
    for rival in sorted(observed.rivals):
        if rival.target in targets:
            yield f"{rival.ref} scales {rival.target}"


def _way_out(deployment: Deployment, pool: Pool) -> str:
    if is_external(pool):
        return f"let it write {scale_ref(deployment, pool)} instead"
    return f"remove it, or set scaling.mode to External and let it write {scale_ref(deployment, pool)}"


def _dispute(change: _Change | None, before: Dispute | None, now: datetime) -> Dispute | None:
    if change is None or (before is not None and before.seen == change.identity):
        return _aged(before, now)
    earlier = before.changes if before is not None else ()
    changes = (*(at for at in earlier if now - at < WINDOW), now)
    truce = len(changes) >= LIMIT or (before is not None and before.until is not None and before.until > now)
    return Dispute(change.writer, change.identity, changes[-LIMIT:], now + TRUCE if truce else None)


def _aged(before: Dispute | None, now: datetime) -> Dispute | None:
    if before is None or (before.until is not None and before.until <= now):
        return None
    recent = tuple(at for at in before.changes if now - at < WINDOW)
    if not recent and before.until is None:
        return None
    return Dispute(before.writer, before.seen, recent, before.until)


def _change(deployment: Deployment, pool: Pool, observed: Observed) -> _Change | None:
    """Return the size that somebody else has set since the pool's size was reported last."""
    known = next((one.desired_replicas for one in deployment.status.pools or () if one.name == pool.name), None)
    for child in _deployments(deployment, pool, observed):
        writer = foreign_writer(child)
        if writer is not None and child.replicas != known:
            name, time = writer
            words = f'field manager "{name}" keeps changing the replicas of {child.ref}'
            # The time has seconds; the generation tells changes within one apart.
            generation = child.body["metadata"].get("generation", 0)
            return _Change(words, f"{child.ref.name} {name} {time} {generation}")
    return None


def sized_by_other(child: Child) -> bool:
    """Tell whether a Deployment's replicas are not what the operator wrote.

    What our writers applied, they own. What somebody else wrote through the scale subresource (`kubectl scale`) may
    have no owner at all: the API server's Scale leaves a 0 out, and with it who wrote it and what comes after.
    """
    return not any(writer in _OURS for writer, _ in _writers(child))


def foreign_writer(child: Child) -> tuple[str, str] | None:
    """Return the name and time of a field manager that is not ours and owns spec.replicas."""
    return next((writer for writer in _writers(child) if writer[0] not in _OURS), None)


def _writers(child: Child) -> Iterator[tuple[str, str]]:
    entries: list[JSON] = child.body["metadata"].get("managedFields") or []
    for entry in entries:
        if "f:replicas" in ((entry.get("fieldsV1") or {}).get("f:spec") or {}):
            yield str(entry.get("manager")), str(entry.get("time", ""))


def _deployments(deployment: Deployment, pool: Pool, observed: Observed) -> list[Child]:
    return [
        child
        for child in observed.owned(_DEPLOYMENT)
        if child.ref.name == names.revision_name(deployment.name, pool.name, child.ref.name.rsplit("-", 1)[-1])
    ]
