"""The cluster that runs directly on this machine: starts it, brings it up to date, takes it down.

Its network numbers are fixed, so one cluster with a real node runs at a time; control planes without a node may run
beside it in any number.
"""

import json
import shutil
from pathlib import Path
from typing import Final

from autoglm_localcluster import (
    builder,
    debian,
    fakenodes,
    fleet_process,
    images,
    layout,
    network,
    node,
    node_config,
    processes,
    prometheus,
    toolchain,
)
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.controlplane import ControlPlane
from autoglm_localcluster.host import Host
from autoglm_localcluster.narrate import say, step
from autoglm_localcluster.paths import RunDir, run_root

PROVIDER: Final = "local"


class BusyError(RuntimeError):
    """Another cluster with a real node runs on this machine."""


def up(run: RunDir, host: Host, *, with_node: bool, fake_nodes: int) -> Cluster:
    """Make the cluster run and be up to date; a running one is kept, a half-dead one is started afresh."""
    _get_programs(with_node=with_node)
    if with_node:
        _refuse_second_node(run)
    built = images.build_all(builder.buildah()) if with_node else []
    cluster = _running(run, with_node=with_node) or _start(run, host, with_node=with_node, built=built)
    if with_node:
        import_changed(run, built)
    with step(f"{fake_nodes} fake GPU nodes"):
        fakenodes.add_nodes(cluster, fake_nodes)
    if with_node:
        fleet_process.start(run)
        with step("Prometheus"):
            prometheus.deploy(cluster)
    return cluster


def down(run: RunDir) -> None:
    """Stop everything of the cluster and remove its run directory; safe on a cluster that has crashed or never ran."""
    had_node = (run.config / "containerd.toml").exists()
    processes.stop(run, (fleet_process.FLEET,))
    node.stop(run)
    ControlPlane.stop(run)
    if had_node:
        network.remove(_forwarding_memory(run))
    shutil.rmtree(run.root, ignore_errors=True)


def import_changed(run: RunDir, built: list[images.Built]) -> None:
    """Import the images that the image store does not have yet."""
    memory = node_config.image_store() / "imported.json"
    known: dict[str, str] = json.loads(memory.read_text()) if memory.exists() else {}
    present = node.image_names(run)
    for image in built:
        if known.get(image.tag) == image.archive.name and node.has_image(present, image.tag):
            continue
        with step(f"importing {image.tag}"):
            node.import_image(run, image.archive)
        known[image.tag] = image.archive.name
        memory.write_text(json.dumps(known))


def _get_programs(*, with_node: bool) -> None:
    tools = [*toolchain.CONTROL_PLANE_TOOLS, *((*toolchain.NODE_TOOLS, *toolchain.IMAGE_TOOLS) if with_node else ())]
    toolchain.announce(tools)
    if with_node:
        images.announce()
        toolchain.ensure_system_packages([*debian.NODE_PACKAGES, *debian.IMAGE_PACKAGES])
    toolchain.ensure(tools)


def _running(run: RunDir, *, with_node: bool) -> Cluster | None:
    cluster = Cluster.load(run)
    if cluster is None or cluster.has_node != with_node or not ControlPlane.is_running(run):
        return None
    if with_node and not node.is_running(run):
        return None
    say(f"cluster [bold]{run.name}[/bold] runs already")
    return cluster


def _start(run: RunDir, host: Host, *, with_node: bool, built: list[images.Built]) -> Cluster:
    down(run)
    if with_node:
        return _start_with_node(run, host, built)
    with step("control plane"):
        return ControlPlane.start(run)


def _start_with_node(run: RunDir, host: Host, built: list[images.Built]) -> Cluster:
    network.remove(_forwarding_memory(run))
    network.prepare_link()
    with step("control plane"):
        bare = ControlPlane.start(run, host=layout.NODE_ADDRESS)
    network.prepare(_forwarding_memory(run))
    node.start_runtime(run, host)
    # The sandbox image must be there before the kubelet starts its first pod.
    import_changed(run, built)
    with step("node"):
        return node.start(bare, host)


def _forwarding_memory(run: RunDir) -> Path:
    return run.state / "ip_forward"


def _refuse_second_node(run: RunDir) -> None:
    for other in run_root().glob("*/cluster.json"):
        found = RunDir(other.parent)
        if found.root != run.root and node.is_running(found):
            raise BusyError(
                f"cluster {found.name!r} has this machine's real node; use it (AUTOGLM_TEST_CLUSTER={found.name}) "
                f"or stop it: python -m autoglm_localcluster down --name {found.name}"
            )
