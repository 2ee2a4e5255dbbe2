"""Triton's protocols through the gateway: tensors byte by byte with tritonclient, generate and its stream."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
import numpy as np
import orjson
import pytest
import tritonclient.http as triton

from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import DEPLOYMENT, SIMPLE_PROMPT, GatewayUnderTest, Replica, replica, running_gateway
from support.raw_http import HOST

LENGTH = "inference-header-content-length"
EVERY_BYTE = np.arange(256, dtype=np.uint8)
FLOATS = np.array([[1.5, -0.0, np.inf], [np.nan, 1e-38, 3.0]], dtype=np.float32)
EVENTS = [b'data: {"text_output":"four"}\n\n', b'data: {"text_output":"teen \xe2\x82\xac"}\n\n']
Result = TypeVar("Result")


async def echo(request: Request, responder: Responder) -> None:
    """Answer an inference with its own tensors; generate with text."""
    if request.path.endswith("/generate"):
        body = b'{"model_name":"glm-light","model_version":"1","text_output":"fourteen"}'
        await responder.send(200, [("content-type", "application/json")], body)
    elif request.path.endswith("/generate_stream"):
        responder.start(200, [("content-type", "text/event-stream")])
        for event in EVENTS:
            await responder.write(event)
            await asyncio.sleep(0.01)
        await responder.end()
    else:
        await tensors(request, responder)


async def tensors(request: Request, responder: Responder) -> None:
    length = int(request.headers.get(LENGTH) or len(request.body))
    asked = orjson.loads(request.body[:length])
    outputs = [{**one, "name": f"{one['name']}_out"} for one in asked["inputs"]]
    answer = {"model_name": "glm-light", "model_version": "1", "id": asked.get("id", ""), "outputs": outputs}
    head = orjson.dumps(answer)
    await responder.send(200, [(LENGTH, str(len(head)))], head + request.body[length:])


@asynccontextmanager
async def service() -> AsyncIterator[tuple[GatewayUnderTest, Replica]]:
    async with replica(echo) as light, running_gateway(light=[light.port], large=[light.port]) as gate:
        yield gate, light


async def with_client(ask: Callable[[triton.InferenceServerClient], Result], **options: Any) -> Result:
    """What a blocking client gets."""

    def run(port: int) -> Result:
        with triton.InferenceServerClient(f"{HOST}:{port}", **options) as client:
            return ask(client)

    async with service() as (gate, _):
        return await asyncio.to_thread(run, gate.port)


def tensor(name: str, values: "np.ndarray[Any, Any]", kind: str, *, binary: bool = True) -> triton.InferInput:
    made = triton.InferInput(name, list(values.shape), kind)
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def question() -> triton.InferInput:
    return tensor("text_input", np.array([SIMPLE_PROMPT.encode()], dtype=np.object_), "BYTES")


async def test_binary_tensors_come_back_byte_by_byte() -> None:
    def ask(client: triton.InferenceServerClient) -> tuple[Any, ...]:
        inputs = [question(), tensor("bytes", EVERY_BYTE, "UINT8"), tensor("floats", FLOATS, "FP32")]
        result = client.infer(DEPLOYMENT, inputs, request_id="r-7")
        return result.get_response()["id"], *(result.as_numpy(f"{one.name()}_out") for one in inputs)

    identity, text, raw, floats = await with_client(ask)
    assert identity == "r-7"
    assert list(text) == [SIMPLE_PROMPT.encode()]
    assert raw.tobytes() == EVERY_BYTE.tobytes()
    assert floats.tobytes() == FLOATS.tobytes(), "also what is no number"


async def test_tensors_as_json_and_as_bytes_go_together() -> None:
    def ask(client: triton.InferenceServerClient) -> list[int]:
        inputs = [question(), tensor("plain", np.array([1, 2, 3], dtype=np.int32), "INT32", binary=False)]
        answer = client.infer(DEPLOYMENT, inputs).get_response()
        return list(answer["outputs"][1]["data"])

    assert await with_client(ask) == [1, 2, 3]


async def test_what_the_replica_gets_is_what_the_client_sent() -> None:
    async with service() as (gate, light):
        head = orjson.dumps({"inputs": [{"name": "text_input", "shape": [1], "datatype": "BYTES", "data": ["hi"]}]})
        tail = bytes(range(256)) * 40
        answer = await gate.send(
            target=f"/v2/models/{DEPLOYMENT}/infer", body=head + tail, headers=[(LENGTH, str(len(head)))]
        )
        assert answer.status == 200
        assert light.requests[0].body == head + tail
        assert light.requests[0].headers.get(LENGTH) == str(len(head))
        assert answer.body.endswith(tail)


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
async def test_a_compressed_inference_is_refused_in_words(compression: str) -> None:
    def ask(client: triton.InferenceServerClient) -> str:
        with pytest.raises(triton.InferenceServerException) as caught:
            client.infer(DEPLOYMENT, [question()], request_compression_algorithm=compression)
        return str(caught.value)

    assert f"Content-Encoding {compression} is not read here" in await with_client(ask)


async def test_many_clients_at_once_get_their_own_tensors() -> None:
    def ask(client: triton.InferenceServerClient) -> list[bool]:
        sent = [np.full((64,), number, dtype=np.int64) for number in range(24)]
        waiting = [client.async_infer(DEPLOYMENT, [question(), tensor("x", one, "INT64")]) for one in sent]
        return [
            bool((one.get_result().as_numpy("x_out") == values).all())
            for one, values in zip(waiting, sent, strict=True)
        ]

    assert all(await with_client(ask, concurrency=8))


async def test_generate_answers_as_triton_does() -> None:
    async with service() as (gate, _), httpx.AsyncClient(base_url=f"http://{HOST}:{gate.port}") as client:
        answer = await client.post(f"/v2/models/{DEPLOYMENT}/generate", json={"text_input": SIMPLE_PROMPT})
        assert answer.json() == {"model_name": "glm-light", "model_version": "1", "text_output": "fourteen"}


async def test_a_generated_stream_comes_piece_by_piece_and_unchanged() -> None:
    async with service() as (gate, _), httpx.AsyncClient(base_url=f"http://{HOST}:{gate.port}") as client:
        body = {"text_input": SIMPLE_PROMPT, "stream": True}
        async with client.stream("POST", f"/v2/models/{DEPLOYMENT}/generate_stream", json=body) as answer:
            assert answer.headers["content-type"] == "text/event-stream"
            assert [piece async for piece in answer.aiter_raw()] == EVENTS


@pytest.mark.parametrize("action", ["infer", "generate", "generate_stream"])
async def test_errors_are_tritons(action: str) -> None:
    async with service() as (gate, _), httpx.AsyncClient(base_url=f"http://{HOST}:{gate.port}") as client:
        for model, body, status in (("gpt", b'{"text_input": "a"}', 404), (DEPLOYMENT, b"{", 400)):
            answer = await client.post(f"/v2/models/{model}/{action}", content=body)
            assert answer.status_code == status
            assert list(answer.json()) == ["error"]
            assert isinstance(answer.json()["error"], str)
