"""A real encoder, all-MiniLM-L6-v2, against what its authors publish; through a worker and through the gateway."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import numpy as np
import openai
import pytest

from autoglm_api.spec import QueryClass
from support.encoder_artifacts import encoder_spec
from support.gateways import DEPLOYMENT, LARGE, LIGHT, config, pool, running_gateway
from support.minilm import minilm
from support.node_process import NodeProcess, node_process
from support.raw_http import HOST

# https://www.sbert.net/docs/quickstart.html
SENTENCES = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
PUBLISHED = np.array([[1.0, 0.6660, 0.1046], [0.6660, 1.0, 0.1411], [0.1046, 0.1411, 1.0]])
NEAR = ("A man is eating food.", "A man is eating a piece of bread.")
FAR = "The girl is carrying a baby."


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    spec = encoder_spec(minilm(), model_name="minilm", max_sequence_tokens=256, drain_seconds=2)
    with node_process(spec, tmp_path_factory.mktemp("node"), "--propagation-seconds", "0") as running:
        running.wait_ready()
        yield running


async def vectors(url: str, model: str, texts: list[str]) -> np.ndarray:
    async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        answer = await client.embeddings.create(model=model, input=texts)
    return np.array([one.embedding for one in answer.data])


@asynccontextmanager
async def gateway(node: NodeProcess) -> AsyncIterator[str]:
    port = int(node.url.rpartition(":")[2])
    settings = config(LIGHT, LARGE, pool("vectors", QueryClass.EMBEDDING, model_name="minilm"))
    async with running_gateway(settings, vectors=[port]) as gate:
        yield f"http://{HOST}:{gate.port}"


async def test_similarities_are_those_that_its_authors_publish(node: NodeProcess) -> None:
    found = await vectors(node.url, "minilm", SENTENCES)
    assert found.shape == (3, 384)
    assert np.abs(found @ found.T - PUBLISHED).max() < 1e-4


async def test_what_is_like_is_near(node: NodeProcess) -> None:
    one, other, far = await vectors(node.url, "minilm", [*NEAR, FAR])
    assert one @ other > 0.7
    assert one @ far < 0.3


async def test_the_gateway_gives_the_same_vectors_by_either_name(node: NodeProcess) -> None:
    direct = await vectors(node.url, "minilm", SENTENCES)
    async with gateway(node) as url:
        for name in ("minilm", DEPLOYMENT):
            assert np.allclose(await vectors(url, name, SENTENCES), direct, atol=1e-6)
