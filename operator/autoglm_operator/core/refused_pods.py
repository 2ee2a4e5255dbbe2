"""Pods that the API server refuses to a Deployment's controller: a quota, a PodSecurity level, a webhook."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from autoglm_api import names
from autoglm_api.status import Reason
from autoglm_operator.core.keys import JSON
from autoglm_operator.core.observed import Child, Observed

_QUOTA_WORDS: Final = "exceeded quota"


@dataclass(frozen=True, slots=True)
class RefusedPods:
    """How many replicas of a pool may not be created, since when, and why."""

    count: int
    since: datetime | None
    reason: Reason
    message: str


def replica_failure(child: Child) -> JSON | None:
    """Return the condition of a Deployment by which its controller tells of refused pods."""
    conditions = (child.body.get("status") or {}).get("conditions") or []
    found = (one for one in conditions if one["type"] == "ReplicaFailure" and one["status"] == "True")
    return next(found, None)


def reason_of(failure: JSON) -> Reason:
    """Tell a quota from every other refusal."""
    return Reason.QUOTA if _QUOTA_WORDS in failure.get("message", "") else Reason.API_REFUSED


def pods_refused(observed: Observed, pool: str) -> RefusedPods | None:
    """Return what is refused to a pool now, over all its revisions; None when nothing is."""
    mine = [child for child in observed.owned("Deployment") if child.labels.get(names.LABEL_POOL) == pool]
    failing = [(child, failure) for child in mine if (failure := replica_failure(child)) is not None]
    if not failing:
        return None
    asked = sum(child.replicas for child, _ in failing)
    exist = sum(len(observed.workers(pool, child.labels.get(names.LABEL_REVISION))) for child, _ in failing)
    since = [datetime.fromisoformat(text) for _, one in failing if (text := one.get("lastTransitionTime"))]
    first = failing[0][1]
    return RefusedPods(max(0, asked - exist), min(since, default=None), reason_of(first), str(first.get("message", "")))
