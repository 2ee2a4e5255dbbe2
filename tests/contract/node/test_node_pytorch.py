"""A whole node on PyTorch, where that is installed (`make torch-tests`): the same replies as on ONNX Runtime."""

from collections.abc import Iterator

import httpx
import pytest

from autoglm_api import names
from autoglm_shop import artifact
from autoglm_shop.evaluate import answer, held_out
from autoglm_shop.task import Kind
from support.node_artifacts import engine_spec
from support.node_process import NodeProcess, node_process, wait_for

pytest.importorskip("torch", reason="PyTorch is not installed")

LARGE = artifact.directory_of("large")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    spec = engine_spec(LARGE, backend="PyTorch", concurrency=4)
    with node_process(spec, tmp_path_factory.mktemp("torch"), "--propagation-seconds", "0") as node:
        node.wait_ready()
        yield node


def asked(node: NodeProcess, prompt: str) -> str:
    body = {"model": "glm-test", "temperature": 0, "messages": [{"role": "user", "content": prompt}]}
    told = httpx.post(f"{node.url}{names.PATH_CHAT}", json=body, timeout=30).json()
    return str(told["choices"][0]["message"]["content"])


def test_replies_are_those_of_onnx_runtime(node: NodeProcess) -> None:
    queries = held_out(Kind.COMPLEX, 6)
    assert [asked(node, query.prompt) for query in queries] == answer(LARGE, queries).texts


def test_a_dead_engine_is_replaced(node: NodeProcess) -> None:
    (query,) = held_out(Kind.COMPLEX, 1)
    before = asked(node, query.prompt)
    node.stub().kill()
    wait_for(lambda: not node.is_ready(), 15, "sign of the death")
    wait_for(node.is_ready, 60, "ready node")
    assert asked(node, query.prompt) == before
