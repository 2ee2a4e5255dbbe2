"""Session fixtures with a real Kubernetes: a control plane with fake nodes, and one with a real node.

`control_plane` starts its own servers on free ports in 6 seconds, so test runs do not disturb each other.
`real_node` is the one cluster with a real node of this machine: set `AUTOGLM_TEST_CLUSTER` to the name of a running
one (for example `demo`) to use that and leave it running.
"""

import os
import shutil
from collections.abc import Iterator

import psutil
import pytest

from autoglm_localcluster import fakenodes, provider, toolchain
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.controlplane import ControlPlane
from autoglm_localcluster.paths import RunDir, run_root

_TEST_PREFIX = "test-"
_FAKE_NODES = 4


@pytest.fixture(scope="session")
def control_plane() -> Iterator[Cluster]:
    """A fresh control plane with four fake GPU nodes; no real node."""
    toolchain.ensure(toolchain.CONTROL_PLANE_TOOLS)
    _sweep_dead_runs()
    run = RunDir.named(f"{_TEST_PREFIX}{os.getpid()}")
    try:
        cluster = ControlPlane.start(run)
        fakenodes.add_nodes(cluster, _FAKE_NODES)
        yield cluster
    finally:
        _remove(run)


@pytest.fixture(scope="session")
def real_node() -> Iterator[Cluster]:
    """A cluster with a real node, our images, four fake GPU nodes and the fleet."""
    chosen = os.environ.get("AUTOGLM_TEST_CLUSTER")
    cluster = provider.up(chosen or "e2e", node=True, fake_nodes=_FAKE_NODES)
    yield cluster
    if chosen is None:
        provider.down("e2e")


def _sweep_dead_runs() -> None:
    """Stop what test runs that were killed have left behind."""
    for folder in run_root().glob(f"{_TEST_PREFIX}*"):
        owner = folder.name.removeprefix(_TEST_PREFIX)
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            _remove(RunDir(folder))


def _remove(run: RunDir) -> None:
    ControlPlane.stop(run)
    shutil.rmtree(run.root, ignore_errors=True)
