"""One pod as the API server shows it: whether it answers, and the moments of its life."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from autoglm_api import names
from autoglm_operator.core.evidence import Evidence, evidence_of
from autoglm_operator.core.keys import JSON

_GONE_PHASES: Final = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of a worker pool or of the gateway."""

    name: str
    component: str
    pool: str
    revision: str
    ready: bool
    live: bool
    """Neither being deleted nor finished: it counts as a replica."""
    evidence: Evidence | None
    uid: str = ""
    address: str = ""
    """IP address, once it has one."""
    created: datetime | None = None
    ready_at: datetime | None = None
    """When it became ready the last time; None while it is not."""
    waits_since: datetime | None = None
    """Since when no node has room for it; None when it has a node or has not been looked at."""
    started: bool = False
    """Whether its containers have started at some time (their start-up probes have passed)."""
    restarts: int = 0
    deletion_cost: str | None = None
    """What the annotation that ReplicaSets choose their victims by says."""


def pod_of(body: JSON) -> Pod:
    """Read one live pod."""
    metadata, status = body["metadata"], body.get("status") or {}
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    live = "deletionTimestamp" not in metadata and status.get("phase") not in _GONE_PHASES
    ready = _condition(status, "Ready")
    containers = status.get("containerStatuses") or []
    is_ready = live and ready.get("status") == "True"
    return Pod(
        name=metadata["name"],
        component=labels.get(names.LABEL_COMPONENT, ""),
        pool=labels.get(names.LABEL_POOL, ""),
        revision=labels.get(names.LABEL_REVISION, ""),
        ready=is_ready,
        live=live,
        evidence=evidence_of(body),
        uid=metadata.get("uid", ""),
        address=status.get("podIP", ""),
        created=_time(metadata.get("creationTimestamp")),
        ready_at=_time(ready.get("lastTransitionTime")) if is_ready else None,
        waits_since=_waits_since(status),
        started=bool(containers) and all(one.get("started") for one in containers),
        restarts=sum(one.get("restartCount", 0) for one in containers),
        deletion_cost=annotations.get(names.ANNOTATION_DELETION_COST),
    )


def _waits_since(status: JSON) -> datetime | None:
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") != "False" or scheduled.get("reason") != "Unschedulable":
        return None
    return _time(scheduled.get("lastTransitionTime"))


def _condition(status: JSON, kind: str) -> JSON:
    found: JSON = next((one for one in status.get("conditions") or [] if one["type"] == kind), {})
    return found


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
