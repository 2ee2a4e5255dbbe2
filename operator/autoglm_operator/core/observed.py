"""The world as a live LIST showed it: children and pods of one custom resource."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from autoglm_api import names
from autoglm_operator.core.evidence import Evidence, evidence_of
from autoglm_operator.core.keys import JSON, ChildRef, ref_of

_GONE_PHASES = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Child:
    """One live object that has a child's name or our labels."""

    ref: ChildRef
    uid: str
    owned: bool
    """Whether its controller is our custom resource, by UID."""
    deleting: bool
    body: JSON

    @property
    def labels(self) -> Mapping[str, str]:
        """metadata.labels."""
        return self.body["metadata"].get("labels") or {}

    @property
    def replicas(self) -> int:
        """spec.replicas of a Deployment, which the API defaults to 1."""
        return int((self.body.get("spec") or {}).get("replicas", 1))

    @property
    def ready_replicas(self) -> int:
        """status.readyReplicas of a Deployment: what its controller counts as its own."""
        return int((self.body.get("status") or {}).get("readyReplicas", 0))


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


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that was seen of one custom resource at one moment."""

    children: Mapping[ChildRef, Child] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()

    def owned(self, kind: str) -> list[Child]:
        """Return our own children of a kind that are not being deleted."""
        of_kind = (child for child in self.children.values() if child.ref.kind == kind)
        return [child for child in of_kind if child.owned and not child.deleting]

    def has_own(self, ref: ChildRef) -> bool:
        """Tell whether a child exists, is ours and stays."""
        child = self.children.get(ref)
        return child is not None and child.owned and not child.deleting

    def workers(self, pool: str, revision: str | None = None) -> list[Pod]:
        """Return the live pods of a pool, or of one of its revisions."""
        return [
            pod
            for pod in self.pods
            if pod.live
            and pod.component == names.COMPONENT_WORKER
            and pod.pool == pool
            and revision in (None, pod.revision)
        ]

    def gateways(self) -> list[Pod]:
        """Return the live gateway pods."""
        return [pod for pod in self.pods if pod.live and pod.component == names.COMPONENT_GATEWAY]


def observe(owner_uid: str, children: Iterable[JSON], pods: Iterable[JSON]) -> Observed:
    """Turn live objects into the world that the core reasons about."""
    seen = (child_of(owner_uid, body) for body in children)
    return Observed({child.ref: child for child in seen}, tuple(pod_of(body) for body in pods))


def child_of(owner_uid: str, body: JSON) -> Child:
    """Read one live object."""
    metadata = body["metadata"]
    owners = metadata.get("ownerReferences") or []
    owned = any(owner.get("controller") and owner["uid"] == owner_uid for owner in owners)
    return Child(ref_of(body), metadata["uid"], owned, "deletionTimestamp" in metadata, body)


def pod_of(body: JSON) -> Pod:
    """Read one live pod."""
    metadata, status = body["metadata"], body.get("status") or {}
    labels = metadata.get("labels") or {}
    live = "deletionTimestamp" not in metadata and status.get("phase") not in _GONE_PHASES
    conditions = status.get("conditions") or []
    return Pod(
        name=metadata["name"],
        component=labels.get(names.LABEL_COMPONENT, ""),
        pool=labels.get(names.LABEL_POOL, ""),
        revision=labels.get(names.LABEL_REVISION, ""),
        ready=live and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions),
        live=live,
        evidence=evidence_of(body),
    )
