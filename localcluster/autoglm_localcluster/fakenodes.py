"""Fake GPU nodes: real Node objects whose kubelet is KWOK, with our own stages (`manifests/stages.yaml`).

They carry a label and a taint, so that only pods which ask for a simulated node land there. Pods on them get addresses
of the fleet's range, where `autoglm_localcluster.fleet` answers as the workers would.
"""

import os
from typing import Final

import yaml

from autoglm_api import names
from autoglm_localcluster import layout, processes, toolchain
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.paths import MANIFESTS, RunDir
from autoglm_localcluster.processes import Program

KWOK: Final = "kwok"
_LEASE_SECONDS = 40
_NODES_AT_ONCE: Final = 100
_READY_SECONDS: Final = 120


class NotReadyError(RuntimeError):
    """Fake nodes did not become Ready; the message says how many did."""


def kwok_program(run: RunDir) -> Program:
    """Write the stages and return the command that plays them."""
    stages = run.config / "stages.yaml"
    delay_seconds = float(os.environ.get("AUTOGLM_FAKE_START_SECONDS", "0"))
    stages.write_text(render_stages((MANIFESTS / "stages.yaml").read_text(), default_start_seconds=delay_seconds))
    command = (
        str(toolchain.KWOK.path),
        f"--kubeconfig={run.config / 'kwok.kubeconfig'}",
        f"--config={stages}",
        f"--manage-nodes-with-label-selector={names.LABEL_FAKE_GPU}=true",
        f"--cidr={layout.FLEET_RANGE}",
        f"--node-lease-duration-seconds={_LEASE_SECONDS}",
    )
    return Program(KWOK, command)


def render_stages(template: str, *, default_start_seconds: float) -> str:
    """Fill in the stages' annotation names and the start delay of pods that name none."""
    values = {
        "@FAKE_FAILURE@": names.ANNOTATION_FAKE_FAILURE,
        "@FAKE_START_SECONDS@": names.ANNOTATION_FAKE_START_SECONDS,
        "@DEFAULT_START_MILLISECONDS@": str(round(default_start_seconds * 1000)),
    }
    for placeholder, value in values.items():
        template = template.replace(placeholder, value)
    return template


def node_manifest(index: int, *, gpus: int = 1) -> dict[str, object]:
    """Node object of one fake GPU node."""
    name = _name(index)
    resources = {
        "cpu": "32",
        "memory": "256Gi",
        "pods": "110",
        "ephemeral-storage": "1Ti",
        names.GPU_RESOURCE: str(gpus),
    }
    labels = {names.LABEL_FAKE_GPU: "true", "kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels},
        "spec": {"taints": [{"key": names.LABEL_FAKE_GPU, "value": "true", "effect": "NoSchedule"}]},
        "status": {"allocatable": resources, "capacity": resources},
    }


def _name(index: int) -> str:
    return f"fake-gpu-{index:02d}"


def add_nodes(cluster: Cluster, count: int, *, gpus: int = 1) -> None:
    """Make the cluster have exactly these fake nodes: `fake-gpu-00` .. `fake-gpu-<count-1>`; others are deleted.

    Nodes that are there stay as they are: applying a thousand takes minutes.
    """
    listed = cluster.kubectl("get", "nodes", "-l", f"{names.LABEL_FAKE_GPU}=true", "-o", "name").split()
    present = {node.removeprefix("node/") for node in listed}
    named = {_name(index): index for index in range(count)}
    surplus = [f"node/{name}" for name in sorted(present - named.keys())]
    if surplus:
        cluster.kubectl("delete", "--wait=false", *surplus)
    wanted = [node_manifest(index, gpus=gpus) for name, index in named.items() if name not in present]
    for start in range(0, len(wanted), _NODES_AT_ONCE):  # kubectl takes one after the other, and has a time limit
        cluster.apply(yaml.safe_dump_all(wanted[start : start + _NODES_AT_ONCE]))
    _wait_ready(cluster, count)


def _wait_ready(cluster: Cluster, count: int) -> None:
    """Wait until so many are Ready: `kubectl wait` asks for one node after the other, minutes for a thousand."""
    ready = "jsonpath={range .items[*]}{.status.conditions[?(@.type=='Ready')].status}{' '}{end}"
    statuses: list[str] = []
    for _ in processes.attempts(_READY_SECONDS, pause_seconds=0.5):
        statuses = cluster.kubectl("get", "nodes", "-l", f"{names.LABEL_FAKE_GPU}=true", "-o", ready).split()
        if statuses == ["True"] * count:
            return
    raise NotReadyError(f"of {count} fake nodes {statuses.count('True')} are Ready after {_READY_SECONDS} s")
