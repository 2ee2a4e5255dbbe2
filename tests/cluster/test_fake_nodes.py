"""Fake GPU nodes on a real API server: exactly as many as asked for, and untouched when they are there."""

import json
from collections.abc import Iterator

import pytest

from autoglm_api import names
from autoglm_localcluster import fakenodes
from autoglm_localcluster.cluster import Cluster

pytestmark = pytest.mark.cluster


@pytest.fixture
def plane(control_plane: Cluster) -> Iterator[Cluster]:
    before = len(nodes(control_plane))
    yield control_plane
    fakenodes.add_nodes(control_plane, before)


def nodes(cluster: Cluster) -> dict[str, str]:
    """Uid of every fake node by name."""
    listed = json.loads(cluster.kubectl("get", "nodes", "-l", f"{names.LABEL_FAKE_GPU}=true", "-o", "json"))
    return {node["metadata"]["name"]: node["metadata"]["uid"] for node in listed["items"]}


def writes(cluster: Cluster) -> int:
    """How many requests of kubectl have created or patched nodes."""
    lines = map(json.loads, cluster.audit_log.read_text().splitlines())
    return sum(
        line["verb"] in {"create", "patch"}
        and line.get("objectRef", {}).get("resource") == "nodes"
        and line["userAgent"].startswith("kubectl")
        for line in lines
    )


def test_more_and_fewer_are_exactly_so_many(plane: Cluster) -> None:
    fakenodes.add_nodes(plane, 6)
    six = nodes(plane)
    assert sorted(six) == [f"fake-gpu-{number:02d}" for number in range(6)]
    fakenodes.add_nodes(plane, 2)
    assert nodes(plane) == {name: six[name] for name in ("fake-gpu-00", "fake-gpu-01")}


def test_nodes_that_are_there_are_not_written_again(plane: Cluster) -> None:
    fakenodes.add_nodes(plane, 5)
    before = nodes(plane), writes(plane)
    fakenodes.add_nodes(plane, 5)
    assert (nodes(plane), writes(plane)) == before


def test_nodes_that_never_become_ready_are_counted(plane: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fakenodes, "_READY_SECONDS", 0.5)
    fakenodes.add_nodes(plane, 3)
    plane.kubectl("label", "node", "fake-gpu-02", f"{names.LABEL_FAKE_GPU}-")
    with pytest.raises(fakenodes.NotReadyError, match="of 3 fake nodes 2 are Ready"):
        fakenodes._wait_ready(plane, 3)
    plane.kubectl("delete", "node", "fake-gpu-02")
