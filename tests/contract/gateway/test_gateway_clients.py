"""The unmodified `openai` and `tritonclient` clients through the gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
import openai
import orjson
import pytest
import tritonclient.http as triton

from autoglm_api import names
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import (
    COMPLEX_PROMPT,
    DEPLOYMENT,
    SIMPLE_PROMPT,
    GatewayUnderTest,
    completion,
    replica,
    running_gateway,
)
from support.raw_http import HOST


def chunk(text: str) -> bytes:
    """One event of a chat stream."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    body = {"id": "c", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": [choice]}
    return b"data: " + orjson.dumps(body) + b"\n\n"


COMPLETION = orjson.dumps(
    {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 0,
        "model": "m",
        "choices": [{"index": 0, "text": " fourteen", "finish_reason": "stop", "logprobs": None}],
    }
)


async def worker(request: Request, responder: Responder) -> None:
    """Answer as a worker does: chat as JSON or events, inferences with an echo."""
    if request.path.endswith("/infer"):
        await infer(request, responder)
    elif request.path == names.PATH_COMPLETIONS:
        await responder.send(200, [("content-type", "application/json")], COMPLETION)
    elif request.path.startswith("/v2/"):
        body = {"name": "glm-light", "versions": ["1"], "platform": "test", "inputs": [], "outputs": []}
        await responder.send(200, [("content-type", "application/json")], orjson.dumps(body))
    elif orjson.loads(request.body).get("stream"):
        responder.start(200, [("content-type", "text/event-stream")])
        for text in ("four", "teen"):
            await responder.write(chunk(text))
            await asyncio.sleep(0)
        await responder.write(b"data: [DONE]\n\n")
        await responder.end()
    else:
        await responder.send(200, [("content-type", "application/json")], completion("fourteen"))


async def infer(request: Request, responder: Responder) -> None:
    """Return the binary part of the input as the output."""
    length = int(request.headers.get("inference-header-content-length") or 0)
    binary = request.body[length:]
    output = {"name": "text_output", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(binary)}}
    head = orjson.dumps({"model_name": "glm-light", "model_version": "1", "outputs": [output]})
    await responder.send(200, [("inference-header-content-length", str(len(head)))], head + binary)


@asynccontextmanager
async def service() -> AsyncIterator[GatewayUnderTest]:
    async with (
        replica(worker) as light,
        replica(worker) as large,
        running_gateway(light=[light.port], large=[large.port]) as gate,
    ):
        yield gate


@asynccontextmanager
async def openai_client() -> AsyncIterator[openai.AsyncOpenAI]:
    async with service() as gate:
        url = f"http://{HOST}:{gate.port}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="unused", max_retries=0) as client:
            yield client


async def test_openai_chat() -> None:
    async with openai_client() as client:
        answer = await client.chat.completions.create(
            model=DEPLOYMENT, messages=[{"role": "user", "content": SIMPLE_PROMPT}]
        )
        assert answer.choices[0].message.content == "fourteen"
        assert {model.id async for model in client.models.list()} == {DEPLOYMENT, "glm-light", "glm-large"}


async def test_openai_completions() -> None:
    async with openai_client() as client:
        answer = await client.completions.create(model=DEPLOYMENT, prompt=SIMPLE_PROMPT)
        assert answer.choices[0].text == " fourteen"
        with pytest.raises(openai.BadRequestError) as caught:
            await client.completions.create(model=DEPLOYMENT, prompt=[])
        assert "`prompt` must be" in caught.value.message


async def test_openai_stream() -> None:
    async with openai_client() as client:
        stream = await client.chat.completions.create(
            model=DEPLOYMENT, messages=[{"role": "user", "content": SIMPLE_PROMPT}], stream=True
        )
        assert [event.choices[0].delta.content async for event in stream] == ["four", "teen"]


async def test_openai_errors() -> None:
    async with openai_client() as client:
        with pytest.raises(openai.NotFoundError) as caught:
            await client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "a"}])
        assert caught.value.code == "model_not_found"


def ask_triton(url: str) -> tuple[bool, bool, bool, str, list[bytes], str]:
    with triton.InferenceServerClient(url) as client:
        text = triton.InferInput("text_input", [1], "BYTES")
        text.set_data_from_numpy(np.array([COMPLEX_PROMPT.encode()], dtype=np.object_))
        result = client.infer(DEPLOYMENT, [text], outputs=[triton.InferRequestedOutput("text_output")])
        with pytest.raises(triton.InferenceServerException) as caught:
            client.infer("gpt", [text])
        return (
            client.is_server_live(),
            client.is_server_ready(),
            client.is_model_ready(DEPLOYMENT),
            client.get_model_metadata(DEPLOYMENT)["name"],
            list(result.as_numpy("text_output")),
            str(caught.value),
        )


async def test_tritonclient() -> None:
    async with service() as gate:
        *states, name, output, error = await asyncio.to_thread(ask_triton, f"{HOST}:{gate.port}")
        assert (states, name, output) == ([True, True, True], "glm-light", [COMPLEX_PROMPT.encode()])
        assert "not served here" in error
