"""The cluster in a Docker engine, by kind. Its commands are pure functions, to be checked without an engine."""

import subprocess
from pathlib import Path
from typing import Final

from autoglm_localcluster import fakenodes, images, processes, prometheus, toolchain
from autoglm_localcluster.builder import Docker
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.narrate import say, step
from autoglm_localcluster.paths import RunDir

PROVIDER: Final = "kind"
_PREFIX: Final = "autoglm-"


def create_command(program: Path, name: str, kubeconfig: Path) -> list[str]:
    """Command that creates the cluster and waits for its node."""
    target = ["--name", f"{_PREFIX}{name}", "--kubeconfig", str(kubeconfig)]
    return [str(program), "create", "cluster", *target, "--wait", "120s"]


def load_command(program: Path, name: str, archive: Path) -> list[str]:
    """Command that loads an image archive into the cluster's node."""
    return [str(program), "load", "image-archive", str(archive), "--name", f"{_PREFIX}{name}"]


def delete_command(program: Path, name: str) -> list[str]:
    """Command that deletes the cluster."""
    return [str(program), "delete", "cluster", "--name", f"{_PREFIX}{name}"]


def up(run: RunDir, *, fake_nodes: int) -> Cluster:
    """Create the cluster if need be, load our images, add fake nodes and Prometheus.

    The fleet cannot run here: fake pods' addresses are not routed into kind's container.
    """
    tools = (toolchain.KIND, toolchain.KWOK, *toolchain.CLIENT_TOOLS, *toolchain.IMAGE_TOOLS)
    toolchain.announce(tools)
    toolchain.ensure(tools)
    run.create()
    cluster = _existing(run) or _create(run)
    for image in images.build_all(Docker()):
        with step(f"loading {image.tag}"):
            subprocess.run(load_command(toolchain.KIND.path, run.name, image.archive), check=True, capture_output=True)
    _add_fake_nodes(cluster, fake_nodes)
    prometheus.deploy(cluster)
    return cluster


def down(run: RunDir) -> None:
    """Delete the cluster and stop KWOK."""
    processes.stop(run, (fakenodes.KWOK,))
    subprocess.run(delete_command(toolchain.KIND.path, run.name), check=True, capture_output=True)


def _existing(run: RunDir) -> Cluster | None:
    listed = subprocess.run([toolchain.KIND.path, "get", "clusters"], capture_output=True, text=True, check=True)
    return Cluster.load(run) if f"{_PREFIX}{run.name}" in listed.stdout.split() else None


def _create(run: RunDir) -> Cluster:
    with step("kind cluster"):
        subprocess.run(create_command(toolchain.KIND.path, run.name, run.kubeconfig), check=True, capture_output=True)
    bare = Cluster(run.name, PROVIDER, run.kubeconfig, "", run.root, has_node=True)
    server = bare.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    cluster = Cluster(run.name, PROVIDER, run.kubeconfig, server, run.root, has_node=True)
    cluster.save()
    return cluster


def _add_fake_nodes(cluster: Cluster, count: int) -> None:
    kwok_kubeconfig = cluster.run.config / "kwok.kubeconfig"
    kwok_kubeconfig.touch(mode=0o600)
    kwok_kubeconfig.write_text(cluster.kubeconfig.read_text())
    processes.start(cluster.run, fakenodes.kwok_program(cluster.run))
    fakenodes.add_nodes(cluster, count)
    if count:
        say("[yellow]simulated replicas do not answer on kind; pods on fake nodes only look alive[/yellow]")
