"""A whole node in INT8: the demo's model answers right, and what the engine allows now is on the metrics page."""

from collections.abc import Iterator

import httpx
import pytest

from autoglm_api import names
from autoglm_shop import artifact
from autoglm_shop.evaluate import INT8, answer, held_out
from autoglm_shop.task import Kind
from support.node_artifacts import engine_spec
from support.node_process import NodeProcess, node_process

LARGE = artifact.directory_of("large")


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    spec = engine_spec(LARGE, precision="INT8")
    with node_process(spec, tmp_path_factory.mktemp("int8"), "--propagation-seconds", "0") as node:
        node.wait_ready()
        yield node


def test_replies_are_those_of_the_int8_graph(node: NodeProcess) -> None:
    queries = held_out(Kind.COMPLEX, 6)
    for query, expected in zip(queries, answer(LARGE, queries, runs=INT8).texts, strict=True):
        asked = {"model": "glm-test", "temperature": 0, "messages": [{"role": "user", "content": query.prompt}]}
        told = httpx.post(f"{node.url}/v1/chat/completions", json=asked, timeout=30).json()
        assert told["choices"][0]["message"]["content"] == expected


def test_what_the_engine_allows_now_is_told(node: NodeProcess) -> None:
    assert node.metric(names.METRIC_ENGINE_BUCKET_LIMIT) == 32 + 16 + 8
    assert node.metric(names.METRIC_ENGINE_STEP_TOKENS) > 0
    assert node.metric(names.METRIC_ENGINE_QUEUE_DELAY) == 0
