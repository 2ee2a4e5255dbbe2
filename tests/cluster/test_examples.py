"""Every example, applied as it is to a real API server with a running operator, becomes what its expectation says."""

import copy
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoglm_api import names
from autoglm_localcluster.cluster import Cluster
from support.manifests import EXAMPLES
from support.operators import CHILD_KINDS, World

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

_FAKE_NODES = {"key": names.LABEL_FAKE_GPU, "operator": "Exists", "effect": "NoSchedule"}
_SECONDS = 40.0


@dataclass(frozen=True)
class Example:
    """An example that was applied."""

    world: World
    name: str
    expected: dict[str, Any]


@pytest.fixture(scope="module", params=EXAMPLES, ids=lambda path: path.parent.name)
def example(request: pytest.FixtureRequest, crd: Cluster) -> Iterator[Example]:
    path: Path = request.param
    expected = yaml.safe_load((path.parent / "expectation.yaml").read_text())
    documents = [_placeable(document) for document in yaml.safe_load_all(path.read_text())]
    custom = next(document for document in documents if document["kind"] == names.KIND)
    text = yaml.safe_dump_all(documents)
    crd.apply(text)
    yield Example(World(crd, custom["metadata"]["namespace"]), custom["metadata"]["name"], expected)
    crd.kubectl("delete", "--wait=false", "-f", "-", stdin=text)


def _placeable(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with pods that may also run on this cluster's nodes, which are all fake and tainted."""
    if document["kind"] != names.KIND:
        return document
    spec = copy.deepcopy(document["spec"])
    for part in (*spec["pools"], spec["gateway"]):
        part.setdefault("template", {}).setdefault("tolerations", []).append(_FAKE_NODES)
    return {**document, "spec": spec}


def test_it_has_exactly_the_expected_objects(example: Example) -> None:
    patterns = {
        f"{kind}/{name}": re.compile(re.escape(f"{kind}/{name}").replace(r"\{hash\}", "[0-9a-f]{8}"))
        for kind, expected in example.expected["objects"].items()
        for name in expected
    }
    example.world.until(lambda: len(example.world.children()) >= len(patterns), _SECONDS)
    children = example.world.children()
    assert [name for name, pattern in patterns.items() if not any(map(pattern.fullmatch, children))] == []
    assert len(children) == len(patterns), children


def test_it_becomes_what_its_columns_say(example: Example) -> None:
    if "columns" not in example.expected:
        # The nodes that it asks for are not here; then the status says so.
        example.world.until(lambda: example.world.condition("Degraded", example.name).get("status") == "True", _SECONDS)
        assert example.world.condition("Degraded", example.name)["reason"] == "Unschedulable"
        return
    columns = ("Ready", "Light", "Large", "Reason")
    wanted = [example.expected["columns"][column] for column in columns]
    example.world.until(lambda: _row(example)[1:5] == wanted, _SECONDS)


def _row(example: Example) -> list[str]:
    return example.world.kubectl("get", names.SHORT_NAME, example.name, "--no-headers").split()


def test_it_tells_its_address(example: Example) -> None:
    example.world.until(lambda: example.world.status(example.name).get("url") == example.expected["url"], _SECONDS)


def test_its_pods_are_admitted_by_the_restricted_standard(example: Example) -> None:
    example.world.until(lambda: example.world.find("pods"), _SECONDS)
    namespace = example.world.get(f"namespace/{example.world.namespace}") or {}
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_its_children_are_of_known_kinds(example: Example) -> None:
    kinds = {child.partition("/")[0].lower() + "s" for child in example.world.children()}
    assert kinds - {names.SCALE_PLURAL} == set(CHILD_KINDS.split(","))
