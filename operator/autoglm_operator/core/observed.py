"""The world as a live LIST showed it: children and pods of one custom resource."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from autoglm_api import names
from autoglm_operator.core.keys import JSON, ChildRef, ref_of
from autoglm_operator.core.pods import Pod, pod_of


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
        """spec.replicas, which the API defaults to 1 in a Deployment."""
        return int((self.body.get("spec") or {}).get("replicas", 1))

    @property
    def sized(self) -> bool:
        """Whether spec.replicas is given."""
        return "replicas" in (self.body.get("spec") or {})

    @property
    def ready_replicas(self) -> int:
        """status.readyReplicas of a Deployment: what its controller counts as its own."""
        return int((self.body.get("status") or {}).get("readyReplicas", 0))


class Rival(NamedTuple):
    """An autoscaler of somebody else."""

    ref: ChildRef
    target: ChildRef
    """What it scales."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything that was seen of one custom resource at one moment."""

    children: Mapping[ChildRef, Child] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    rivals: tuple[Rival, ...] = ()

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

    def pods_of(self, ref: ChildRef) -> list[Pod]:
        """Return the live pods of a pool revision's Deployment, by its labels; of any other object none."""
        child = self.children.get(ref)
        if child is None or names.LABEL_POOL not in child.labels or names.LABEL_REVISION not in child.labels:
            return []
        return self.workers(child.labels[names.LABEL_POOL], child.labels[names.LABEL_REVISION])

    def gateways(self) -> list[Pod]:
        """Return the live gateway pods."""
        return [pod for pod in self.pods if pod.live and pod.component == names.COMPONENT_GATEWAY]


def observe(
    owner_uid: str, children: Iterable[JSON], pods: Iterable[JSON], autoscalers: Iterable[JSON] = ()
) -> Observed:
    """Turn live objects into the world that the core reasons about."""
    seen = (child_of(owner_uid, body) for body in children)
    rivals = tuple(rival_of(body) for body in autoscalers)
    return Observed({child.ref: child for child in seen}, tuple(pod_of(body) for body in pods), rivals)


def rival_of(body: JSON) -> Rival:
    """Read an HPA or a KEDA ScaledObject; KEDA takes a Deployment where no kind is given."""
    target = (body.get("spec") or {}).get("scaleTargetRef") or {}
    return Rival(ref_of(body), ChildRef(target.get("kind") or "Deployment", target.get("name", "")))


def child_of(owner_uid: str, body: JSON) -> Child:
    """Read one live object."""
    metadata = body["metadata"]
    owners = metadata.get("ownerReferences") or []
    owned = any(owner.get("controller") and owner["uid"] == owner_uid for owner in owners)
    return Child(ref_of(body), metadata["uid"], owned, "deletionTimestamp" in metadata, body)
