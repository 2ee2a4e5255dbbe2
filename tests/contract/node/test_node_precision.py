"""A whole node in INT8: the demo's model answers right, buckets hold, and what the engine allows is told."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from autoglm_api import names
from autoglm_api.spec import Batching
from autoglm_shop import artifact
from autoglm_shop.evaluate import INT8, answer, held_out
from autoglm_shop.task import Kind
from support.node_artifacts import SLOW_LAYERS, engine_spec, write_artifact
from support.node_process import NodeProcess, node_process

BUCKETS = {"buckets": [{"maxTokens": 40, "maxBatchSize": 3}, {"maxTokens": 512, "maxBatchSize": 1}]}
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


# --- batches by length -------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    directory = tmp_path_factory.mktemp("buckets")
    model = write_artifact(directory / "model", SLOW_LAYERS)
    batching = Batching.model_validate({**BUCKETS, "adaptive": False}).to_json()
    spec = engine_spec(model, concurrency=6, batching=batching)
    with node_process(spec, directory / "run", "--propagation-seconds", "0") as node:
        node.wait_ready()
        yield node


@pytest.mark.parametrize(("prompt", "together"), [("?", 3), ("price of the kettle? " * 20, 1)])
def test_a_bucket_has_as_many_at_once_as_the_resource_says(slow: NodeProcess, prompt: str, together: int) -> None:
    asked = {"model": "glm-test", "max_tokens": 300, "messages": [{"role": "user", "content": prompt}]}
    seen = set[float]()
    with ThreadPoolExecutor(5) as pool:
        answers = [pool.submit(httpx.post, f"{slow.url}{names.PATH_CHAT}", json=asked, timeout=60) for _ in range(5)]
        while not all(answer.done() for answer in answers):
            seen.add(slow.metric(names.METRIC_ENGINE_RUNNING))
    assert [answer.result().status_code for answer in answers] == [200] * 5
    assert max(seen) == together
