"""Room on the cluster's nodes, from what the API server shows of nodes and pods."""

from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.spec import parse_spec
from autoglm_operator.core.nodes import GROUP_LABELS, Node, nodes_of, placement_of, room_for
from autoglm_operator.scaling.room import Placement, Room, Tolerance
from support.manifests import changed, two_pools

POOL = {"pool": "a100"}


def node(name: str, gpus: int = 8, *, ready: str = "True", **spec: Any) -> dict[str, Any]:
    labels = {GROUP_LABELS[0]: "a100", **POOL, **spec.pop("labels", {})}
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {
            "allocatable": {names.GPU_RESOURCE: str(gpus), "cpu": "96"},
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}],
        },
    }


def pod(on: str | None, *gpus: int, phase: str = "Running") -> dict[str, Any]:
    containers = [{"name": "c", "resources": {"limits": {names.GPU_RESOURCE: str(one)}}} for one in gpus]
    place = {} if on is None else {"nodeName": on}
    return {"spec": {**place, "containers": [*containers, {"name": "plain"}]}, "status": {"phase": phase}}


def room(gpus: int, *nodes: Node, **placed: Any) -> Room:
    found = room_for(Placement(gpus, **placed), nodes)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("pods", "free"),
    [
        ([], 8),
        ([pod("a", 2), pod("a", 1, 1)], 4),
        ([pod("a", 2, phase="Succeeded"), pod("a", 3, phase="Failed")], 8),
        ([pod(None, 8), pod("b", 8), pod("a")], 8),
        ([pod("a", 8), pod("a", 8)], -8),  # a node that has lost GPUs
    ],
)
def test_gpus_that_no_living_pod_has_asked_for_are_free(pods: list[dict[str, Any]], free: int) -> None:
    (found,) = nodes_of([node("a")], pods)
    assert (found.gpus, found.free) == (8, free)


@pytest.mark.parametrize(
    "body", [node("a", unschedulable=True), node("a", ready="False"), node("a", ready="Unknown"), {"metadata": {}}]
)
def test_a_node_that_takes_no_pods_is_no_room(body: dict[str, Any]) -> None:
    assert nodes_of([body], []) == ()


@pytest.mark.parametrize("label", GROUP_LABELS)
def test_every_cloud_names_its_groups(label: str) -> None:
    (found,) = nodes_of([{**node("a"), "metadata": {"name": "a", "labels": {label: "big"}}}], [])
    assert found.group == "big"


def test_the_name_of_a_group_goes_before_the_kind_of_machine() -> None:
    (found,) = nodes_of([node("a", labels={GROUP_LABELS[-1]: "p4d"})], [])
    assert found.group == "a100"


def test_replicas_need_whole_nodes_not_the_sum_of_what_is_left() -> None:
    nodes = nodes_of([node("a"), node("b"), node("c", 2)], [pod("a", 5), pod("b", 6)])
    assert room(4, *nodes) == Room(fits=0, per_node=2, group="a100", nodes=3, free_gpus=7, all_gpus=18)
    assert room(2, *nodes).fits == 3
    assert room(16, *nodes).per_node == 0
    assert room_for(Placement(0), nodes) is None


def test_only_nodes_with_the_labels_count() -> None:
    nodes = nodes_of([node("a"), node("b", labels={"pool": "other", GROUP_LABELS[0]: "x"})], [])
    assert room(1, *nodes, labels=(("pool", "a100"),)).nodes == 1
    nowhere = room(1, *nodes, labels=(("pool", "none"),))
    assert (nowhere.fits, nowhere.nodes) == (0, 0)


TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


@pytest.mark.parametrize(
    ("taints", "tolerances", "admitted"),
    [
        ([], [], True),
        ([TAINT], [], False),
        ([TAINT], [Tolerance("gpu", None, "")], True),
        ([TAINT], [Tolerance("gpu", "yes", "NoSchedule")], True),
        ([TAINT], [Tolerance("gpu", "no", "")], False),
        ([TAINT], [Tolerance("gpu", None, "NoExecute")], False),
        ([TAINT], [Tolerance("", None, "")], True),
        ([TAINT, {"key": "spot", "effect": "NoExecute"}], [Tolerance("gpu", None, "")], False),
        ([{**TAINT, "effect": "PreferNoSchedule"}], [], True),
    ],
)
def test_taints_keep_out_whom_they_are_for(
    taints: list[dict[str, str]], tolerances: list[Tolerance], *, admitted: bool
) -> None:
    found = room(1, *nodes_of([node("a", taints=taints)], []), tolerances=tuple(tolerances))
    assert found.nodes == int(admitted)


def test_a_placement_is_what_the_template_says() -> None:
    manifest = changed(two_pools(), "spec.light.engine", {"backend": "TensorRTLLM", "gpusPerReplica": 2})
    manifest = changed(manifest, "spec.light.model.uri", "pvc://models/glm")
    tolerations = [
        {"key": "gpu", "operator": "Exists"},
        {"key": "spot", "value": "yes", "effect": "NoSchedule"},
        {"operator": "Exists"},
    ]
    manifest = changed(manifest, "spec.light.template", {"nodeSelector": POOL, "tolerations": tolerations})
    placement = placement_of(parse_spec(manifest["spec"]).pools[0])
    assert placement.gpus == 2
    assert placement.labels == (("pool", "a100"),)
    assert placement.tolerances == (
        Tolerance("gpu", None, ""),
        Tolerance("spot", "yes", "NoSchedule"),
        Tolerance("", None, ""),
    )
