"""Vectors through the gateway: which pool makes them, and what is refused, with the unmodified `openai` client."""

import base64
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import orjson
import pytest

from autoglm_api import names
from autoglm_api.config import GatewayPool
from autoglm_api.spec import QueryClass
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import DEPLOYMENT, LARGE, LIGHT, GatewayUnderTest, config, pool, replica, running_gateway
from support.raw_http import HOST

MINILM = pool("vectors", QueryClass.EMBEDDING, model_name="minilm")
OTHER = pool("others", QueryClass.EMBEDDING, model_name="bge")


async def worker(request: Request, responder: Responder) -> None:
    """Answer with the vector of every text, and with the model that was asked for."""
    asked = orjson.loads(request.body)
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    vectors: list[Any] = [[0.5, float(n)] for n in range(len(texts))]
    if asked.get("encoding_format") == "base64":
        vectors = [base64.b64encode(struct.pack("<2f", *vector)).decode() for vector in vectors]
    data = [{"object": "embedding", "index": n, "embedding": vector} for n, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 2, "total_tokens": 2}
    body = {"object": "list", "model": asked["model"], "data": data, "usage": usage}
    await responder.send(200, [("content-type", "application/json")], orjson.dumps(body))


@asynccontextmanager
async def service(*vector_pools: GatewayPool, **settings: object) -> AsyncIterator[GatewayUnderTest]:
    async with replica(worker) as one:
        ports: dict[str, Any] = {each.name: [one.port] for each in (LIGHT, LARGE, *vector_pools)}
        async with running_gateway(config(LIGHT, LARGE, *vector_pools, **settings), **ports) as gate:
            yield gate


async def ask(gate: GatewayUnderTest, model: str, **wished: Any) -> openai.types.CreateEmbeddingResponse:
    url = f"http://{HOST}:{gate.port}/v1"
    async with openai.AsyncOpenAI(base_url=url, api_key="unused", max_retries=0) as client:
        return await client.embeddings.create(model=model, input=["a lamp", "a mug"], **wished)


async def pool_of(gate: GatewayUnderTest, model: str, target: str = names.PATH_EMBEDDINGS) -> str:
    answer = await gate.send(target=target, body=orjson.dumps({"model": model, "input": "a lamp"}))
    assert answer.status == 200, answer.body
    return answer.headers[names.HEADER_POOL]


@pytest.mark.parametrize("wished", [{}, {"encoding_format": "float"}])
async def test_vectors_come_from_the_pool_whose_model_is_named(wished: dict[str, str]) -> None:
    """Without a wish the client asks for base64 by itself, and reads it."""
    async with service(MINILM, OTHER) as gate:
        answer = await ask(gate, "bge", **wished)
        assert [one.embedding for one in answer.data] == [[0.5, 0], [0.5, 1]]
        assert [await pool_of(gate, name) for name in ("minilm", "bge")] == ["vectors", "others"]


async def test_the_deployments_name_means_the_only_embedding_model() -> None:
    async with service(MINILM) as gate:
        assert await pool_of(gate, DEPLOYMENT) == "vectors"


@pytest.mark.parametrize(
    ("pools", "model", "sentence"),
    [
        ([MINILM, OTHER], DEPLOYMENT, "so name the model: minilm or bge"),
        ([MINILM], "glm-light", "model 'glm-light' writes text; for vectors ask for minilm"),
        ([], DEPLOYMENT, "this service has no embedding model; add a pool whose model.kind is Embedding"),
        ([], "glm-light", "this service has no embedding model"),
    ],
)
async def test_what_cannot_be_embedded_is_refused_with_a_sentence(
    pools: list[GatewayPool], model: str, sentence: str
) -> None:
    async with service(*pools) as gate:
        with pytest.raises(openai.BadRequestError) as caught:
            await ask(gate, model)
    assert sentence in caught.value.message


async def test_an_unknown_model_is_not_found() -> None:
    async with service(MINILM) as gate:
        with pytest.raises(openai.NotFoundError) as caught:
            await ask(gate, "gpt")
    assert caught.value.code == "model_not_found"


async def test_an_encoder_is_not_asked_to_write() -> None:
    async with service(MINILM) as gate:
        answer = await gate.chat(model="minilm")
        assert (answer.status, answer.json["error"]["code"]) == (400, "unsupported_model")
        assert "ask it at /v1/embeddings" in answer.json["error"]["message"]


async def test_text_never_goes_to_an_encoder_even_where_there_is_room_only_there() -> None:
    busy = [one.model_copy(update={"concurrency_per_replica": 1}) for one in (LIGHT, LARGE)]
    settings = config(*busy, MINILM, max_wait_seconds=0)
    async with replica(worker) as one, running_gateway(settings, vectors=[one.port]) as gate:
        assert (await gate.chat()).status == 504
        assert not one.requests


async def test_nobody_chooses_the_class_of_vectors_by_header() -> None:
    async with service(MINILM) as gate:
        body = orjson.dumps({"model": DEPLOYMENT, "messages": [{"role": "user", "content": "hi"}]})
        answer = await gate.send(body=body, headers=[("x-autoglm-class", "Embedding")])
        assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_class")


async def test_vectors_are_counted_as_their_own_class_with_one_token_of_answer() -> None:
    async with service(MINILM) as gate:
        await ask(gate, "minilm")
        page = (await gate.send("GET", names.PATH_METRICS, admin=True)).body.decode()
    counted = [line for line in page.splitlines() if "offered" in line and 'class="Embedding"' in line]
    assert sorted(line.rpartition(" ")[2] for line in counted) == ["1.0", "5.0"]
