"""The nodes of the cluster as places for replicas: which group each belongs to, and how many of its GPUs are free.

| label that names a group, first that a node has | who writes it                     |
|--------------------------------------------------|-----------------------------------|
| `cloud.google.com/gke-nodepool`                  | GKE                               |
| `eks.amazonaws.com/nodegroup`                    | EKS                               |
| `kubernetes.azure.com/agentpool`                 | AKS                               |
| `karpenter.sh/nodepool`                          | Karpenter                         |
| `node.kubernetes.io/instance-type`               | every cloud; last, as it is a kind of node |
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from autoglm_api import names
from autoglm_api.spec import Pool, Toleration, TolerationOperator
from autoglm_operator.core.keys import JSON
from autoglm_operator.scaling.room import Placement, Room, Tolerance

GROUP_LABELS: Final = (
    "cloud.google.com/gke-nodepool",
    "eks.amazonaws.com/nodegroup",
    "kubernetes.azure.com/agentpool",
    "karpenter.sh/nodepool",
    "node.kubernetes.io/instance-type",
)
_ENDED: Final = ("Succeeded", "Failed")
_KEEPS_OUT: Final = ("NoSchedule", "NoExecute")


@dataclass(frozen=True, slots=True)
class Node:
    """One node that takes pods."""

    labels: Mapping[str, str]
    taints: tuple[Tolerance, ...]
    """Those that keep pods out."""
    gpus: int
    free: int

    @property
    def group(self) -> str:
        """The node group's name; empty when no label tells."""
        return next((self.labels[label] for label in GROUP_LABELS if label in self.labels), "")


def placement_of(pool: Pool) -> Placement:
    """Return where a pool's replicas may run."""
    template = pool.template
    return Placement(
        gpus=pool.engine.gpus_per_replica,
        labels=tuple(sorted((template.node_selector or {}).items())),
        tolerances=tuple(_tolerance(one) for one in template.tolerations or ()),
    )


def nodes_of(nodes: Iterable[JSON], pods: Iterable[JSON]) -> tuple[Node, ...]:
    """Return the nodes that are ready for pods, with the GPUs that no pod has asked for."""
    taken: dict[str, int] = defaultdict(int)
    for pod in pods:
        taken[(pod.get("spec") or {}).get("nodeName", "")] += _gpus_asked(pod)
    return tuple(_node(body, taken[body["metadata"]["name"]]) for body in nodes if _takes_pods(body))


def room_for(placement: Placement, nodes: Sequence[Node]) -> Room | None:
    """Return the room for replicas of a pool; None for a pool without GPUs, whose room is not known."""
    if not placement.gpus:
        return None
    mine = [node for node in nodes if node.gpus and _admits(node, placement)]
    groups = Counter(node.group for node in mine)
    group = max(groups, key=lambda name: (groups[name], name), default="")
    return Room(
        fits=sum(max(0, node.free) // placement.gpus for node in mine),
        per_node=max((node.gpus // placement.gpus for node in mine if node.group == group), default=0),
        group=group,
        nodes=len(mine),
        free_gpus=sum(max(0, node.free) for node in mine),
        all_gpus=sum(node.gpus for node in mine),
    )


def _takes_pods(body: JSON) -> bool:
    conditions = (body.get("status") or {}).get("conditions") or []
    ready = next((one["status"] for one in conditions if one["type"] == "Ready"), "Unknown")
    return ready == "True" and not (body.get("spec") or {}).get("unschedulable", False)


def _node(body: JSON, taken: int) -> Node:
    allocatable = (body.get("status") or {}).get("allocatable") or {}
    taints = (body.get("spec") or {}).get("taints") or []
    gpus = int(allocatable.get(names.GPU_RESOURCE, 0))
    return Node(
        labels=body["metadata"].get("labels") or {},
        taints=tuple(
            Tolerance(one["key"], one.get("value", ""), one["effect"]) for one in taints if one["effect"] in _KEEPS_OUT
        ),
        gpus=gpus,
        free=gpus - taken,
    )


def _gpus_asked(pod: JSON) -> int:
    """Return the GPUs that a pod holds; of an ended one they are free again."""
    if (pod.get("status") or {}).get("phase") in _ENDED:
        return 0
    containers = (pod.get("spec") or {}).get("containers") or []
    limits = ((one.get("resources") or {}).get("limits") or {} for one in containers)
    return sum(int(limit.get(names.GPU_RESOURCE, 0)) for limit in limits)


def _tolerance(given: Toleration) -> Tolerance:
    any_value = given.operator is TolerationOperator.EXISTS
    return Tolerance(given.key or "", None if any_value else given.value or "", given.effect or "")


def _admits(node: Node, placement: Placement) -> bool:
    has_labels = all(node.labels.get(key) == value for key, value in placement.labels)
    return has_labels and all(any(_covers(one, taint) for one in placement.tolerances) for taint in node.taints)


def _covers(tolerance: Tolerance, taint: Tolerance) -> bool:
    same_key = tolerance.key in ("", taint.key)
    same_value = tolerance.value is None or tolerance.value == taint.value
    return same_key and same_value and tolerance.effect in ("", taint.effect)
