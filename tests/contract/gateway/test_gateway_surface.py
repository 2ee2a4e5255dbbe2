"""What clients may ask and what they are told when they ask wrongly."""

import asyncio
from itertools import pairwise

import numpy as np
import orjson
import pytest

from autoglm_api import names
from autoglm_api.config import Demand
from autoglm_api.routing import Routing
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import (
    COMPLEX_PROMPT,
    DEPLOYMENT,
    SIMPLE_PROMPT,
    chat_body,
    completion,
    config,
    replica,
    running_gateway,
)
from support.raw_http import eventually, exchange, request, status_of

DEEP = b"[" * 5000

BAD_CHATS = {
    "not JSON": b"{",
    "NaN": b'{"model":"shop-assistant","messages":[{"role":"user","content":"a"}],"temperature":NaN}',
    "too deep": b'{"model":"shop-assistant","messages":' + DEEP,
    "huge integer": b'{"model":"shop-assistant","messages":' + b"9" * 400 + b"x}",
    "not UTF-8": b'{"model":"shop-assistant\xff"}',
    "a list": b"[]",
    "empty": b"",
    "no model": b'{"messages":[{"role":"user","content":"a"}]}',
    "model is a number": b'{"model":1,"messages":[{"role":"user","content":"a"}]}',
    "no messages": b'{"model":"shop-assistant"}',
    "empty messages": b'{"model":"shop-assistant","messages":[]}',
    "message is text": b'{"model":"shop-assistant","messages":["a"]}',
}


@pytest.mark.parametrize("body", BAD_CHATS.values(), ids=BAD_CHATS.keys())
async def test_bad_chats_get_400_in_openai_s_shape(body: bytes) -> None:
    async with running_gateway() as gate:
        answer = await gate.send(body=body)
        assert (answer.status, answer.json["error"]["type"]) == (400, "invalid_request_error")


def infer(*inputs: object) -> bytes:
    return orjson.dumps({"inputs": inputs})


def binary(**tensor: object) -> bytes:
    return infer({"name": "a", "shape": [1], "datatype": "BYTES", **tensor})


LENGTH = "inference-header-content-length"
BAD_INFERS = {
    "not JSON": (b"{", None),
    "inputs is text": (b'{"inputs":"a"}', None),
    "input is a number": (infer(1), None),
    "no text": (infer({"name": "a", "datatype": "FP32", "shape": [1], "data": [1]}), None),
    "text is a number": (infer({"name": "a", "datatype": "BYTES", "shape": [1], "data": [1]}), None),
    "no data": (infer({"name": "a", "datatype": "BYTES", "shape": [0], "data": []}), None),
    "length beyond the body": (infer(), "9999"),
    "negative length": (infer(), "-1"),
    "length is text": (infer(), "abc"),
    "length of too many digits": (infer(), "9" * 5000),
    "negative tensor": (binary(parameters={"binary_data_size": -5}), None),
    "tensor beyond the body": (binary(parameters={"binary_data_size": 10}), None),
    "tensor shorter than a length": (binary(parameters={"binary_data_size": 2}) + b"ab", "-"),
    "element beyond the tensor": (binary(parameters={"binary_data_size": 5}) + b"\xff\xff\xff\xffa", "-"),
}


@pytest.mark.parametrize(("body", "length"), BAD_INFERS.values(), ids=BAD_INFERS.keys())
async def test_bad_inferences_get_400_in_the_protocol_s_shape(body: bytes, length: str | None) -> None:
    if length == "-":
        length = str(body.index(b"}]}") + 3)
    headers = [] if length is None else [(LENGTH, length)]
    async with running_gateway() as gate:
        answer = await gate.send(target=f"/v2/models/{DEPLOYMENT}/infer", body=body, headers=headers)
        assert (answer.status, type(answer.json["error"])) == (400, str)


REFUSED = {
    "unknown path": ("GET", "/v3", b"", 404),
    "unknown model": ("POST", names.PATH_CHAT, chat_body(model="gpt"), 404),
    "unknown model card": ("GET", "/v1/models/gpt", b"", 404),
    "unknown v2 model": ("POST", "/v2/models/gpt/infer", infer(), 404),
    "unknown v2 action": ("POST", f"/v2/models/{DEPLOYMENT}/unload", b"", 404),
    "repository control": ("POST", "/v2/repository/index", b"", 404),
    "no model's name": ("GET", "/v2/models/", b"", 404),
    "traversal": ("GET", f"/v2/models/{DEPLOYMENT}/versions/1/../../../repository", b"", 404),
    "GET chat": ("GET", names.PATH_CHAT, b"", 405),
    "POST models": ("POST", names.PATH_MODELS, b"{}", 405),
    "GET infer": ("GET", f"/v2/models/{DEPLOYMENT}/infer", b"", 405),
    "strange method": ("PATCH", f"/v2/models/{DEPLOYMENT}", b"", 405),
    "generate without text": ("POST", f"/v2/models/{DEPLOYMENT}/generate", b'{"text_input": 1}', 400),
    "body too large": ("POST", names.PATH_CHAT, b"x" * 70000, 413),
}


@pytest.mark.parametrize(("method", "target", "body", "status"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_is_not_served_is_refused_by_name(method: str, target: str, body: bytes, status: int) -> None:
    async with replica() as light, running_gateway(light=[light.port]) as gate:
        answer = await gate.send(method, target, body)
        shape = str if target.startswith("/v2") else dict
        assert (answer.status, type(answer.json["error"]), light.requests) == (status, shape, [])


async def test_unknown_models_have_openai_s_code() -> None:
    async with running_gateway() as gate:
        answer = await gate.chat(model="gpt")
        assert answer.json["error"]["code"] == "model_not_found"
        assert "glm-light" in answer.json["error"]["message"]


async def test_a_bad_override_says_what_is_allowed() -> None:
    async with running_gateway() as gate:
        answer = await gate.send(body=chat_body(), headers=[("x-autoglm-class", "Hard")])
        assert (answer.status, "Simple or Complex" in answer.json["error"]["message"]) == (400, True)


async def test_the_override_header_s_name_is_a_setting() -> None:
    settings = config(routing=Routing(override_header="X-Level"))
    async with replica() as large, running_gateway(settings, large=[large.port]) as gate:
        answer = await gate.send(body=chat_body(), headers=[("X-Level", "Complex")])
        assert answer.headers[names.HEADER_POOL] == "large"
        assert large.requests[0].headers.get("x-level") is None


async def test_compressed_bodies_are_refused_where_the_gateway_must_read_them() -> None:
    async with replica() as light, running_gateway(light=[light.port]) as gate:
        gzip = [("content-encoding", "gzip")]
        assert (await gate.send(body=chat_body(), headers=gzip)).status == 415
        pinned = await gate.send(target="/v2/models/glm-light/infer", body=b"\x1f\x8b", headers=gzip)
        assert (pinned.status, light.requests[0].body) == (200, b"\x1f\x8b")


async def test_models_are_the_deployment_and_its_pools() -> None:
    async with running_gateway() as gate:
        answer = await gate.send("GET", names.PATH_MODELS)
        assert [card["id"] for card in answer.json["data"]] == [DEPLOYMENT, "glm-light", "glm-large"]
        assert (await gate.send("GET", "/v1/models/glm-light")).json["id"] == "glm-light"


@pytest.mark.parametrize(("prompt", "pool"), [(SIMPLE_PROMPT, "light"), (COMPLEX_PROMPT, "large")])
async def test_generate_is_routed_and_rewritten(prompt: str, pool: str) -> None:
    async with replica() as light, replica() as large, running_gateway(light=[light.port], large=[large.port]) as gate:
        body = orjson.dumps({"text_input": prompt})
        answer = await gate.send(target=f"/v2/models/{DEPLOYMENT}/versions/1/generate?x=1", body=body)
        got = (light if pool == "light" else large).requests[0]
        assert answer.headers[names.HEADER_POOL] == pool
        assert (got.target, got.body) == (f"/v2/models/glm-{pool}/versions/1/generate?x=1", body)


@pytest.mark.parametrize("as_binary", [False, True], ids=["JSON", "binary"])
async def test_infer_is_routed_by_its_first_text(*, as_binary: bool) -> None:
    text = COMPLEX_PROMPT.encode()
    number = {"name": "n", "shape": [1], "datatype": "INT32", "parameters": {"binary_data_size": 4}}
    if as_binary:
        tensor = {"name": "t", "shape": [1], "datatype": "BYTES", "parameters": {"binary_data_size": len(text) + 4}}
        head = infer(number, tensor)
        body = head + b"\0\0\0\0" + len(text).to_bytes(4, "little") + text
        headers = [(LENGTH, str(len(head)))]
    else:
        body = infer({"name": "t", "shape": [1, 1], "datatype": "BYTES", "data": [[COMPLEX_PROMPT]]})
        headers = []
    async with replica() as large, running_gateway(large=[large.port]) as gate:
        answer = await gate.send(target=f"/v2/models/{DEPLOYMENT}/infer", body=body, headers=headers)
        assert (answer.headers[names.HEADER_POOL], large.requests[0].body) == ("large", body)
        assert large.requests[0].headers.get(LENGTH) == (headers[0][1] if headers else None)


async def test_readiness_means_that_a_query_would_be_answered() -> None:
    async with replica() as light, replica() as large, running_gateway(light=[light.port]) as gate:
        targets = (
            "/v2/health/ready",
            f"/v2/models/{DEPLOYMENT}/ready",
            "/v2/models/glm-light/ready",
            "/v2/health/live",
        )
        assert [(await gate.send("GET", target)).status for target in targets] == [503, 503, 200, 200]
        gate.locate(light=[light.port], large=[large.port])
        assert [(await gate.send("GET", target)).status for target in targets] == [200, 200, 200, 200]


async def test_before_the_configuration_is_known_the_gateway_says_so() -> None:
    async with running_gateway() as gate:
        gate.gateway.fleet.config = None
        answer, ready = await gate.chat(), await gate.send("GET", "/readyz", admin=True)
        assert (answer.status, answer.headers["retry-after"], ready.status) == (503, "1", 503)
        assert b"configuration" in ready.body


async def test_gauges_are_there_before_the_first_query() -> None:
    async with running_gateway() as gate:
        metrics = (await gate.send("GET", "/metrics", admin=True)).body.decode()
        for name in (names.METRIC_GATEWAY_QUEUED, names.METRIC_GATEWAY_IN_FLIGHT, names.METRIC_GATEWAY_ENDPOINTS):
            assert f'{name}{{pool="light"}} 0.0\n{name}{{pool="large"}} 0.0\n' in metrics


async def test_every_query_is_counted_once_with_its_code() -> None:
    async with replica() as light, running_gateway(light=[light.port]) as gate:
        await gate.chat()
        await gate.chat(model="gpt")
        metrics = (await gate.send("GET", "/metrics", admin=True)).body.decode()
        counts = [line for line in metrics.splitlines() if line.startswith(names.METRIC_GATEWAY_QUERIES + "{")]
        assert sorted(counts) == [
            f'{names.METRIC_GATEWAY_QUERIES}{{class="Simple",code="200",pool="light"}} 1.0',
            f'{names.METRIC_GATEWAY_QUERIES}{{class="none",code="404",pool="none"}} 1.0',
        ]
        for name in (
            names.METRIC_GATEWAY_QUEUE_SECONDS,
            names.METRIC_GATEWAY_FIRST_BYTE_SECONDS,
            names.METRIC_GATEWAY_DURATION_SECONDS,
        ):
            assert f'{name}_count{{pool="light"}} 1.0' in metrics


async def test_the_demand_endpoint_tells_what_waits() -> None:
    async with running_gateway() as gate:
        waiting = asyncio.create_task(gate.chat())
        await asyncio.sleep(0.05)
        answer = await gate.send("GET", names.PATH_DEMAND, admin=True)
        light, large = Demand.model_validate_json(answer.body).pools
        assert (light.pool, light.queued, light.in_flight, light.ready_replicas, large.queued) == ("light", 1, 0, 0, 0)
        waiting.cancel()


async def test_pools_of_a_class_share_it_by_weight() -> None:
    light = config().pools[0]
    twin = light.model_copy(update={"name": "twin", "model_name": "glm-twin", "weight": 3})
    async with (
        replica() as one,
        replica() as other,
        running_gateway(config(light, twin, config().pools[1]), light=[one.port], twin=[other.port]) as gate,
    ):
        pools = [(await gate.chat()).headers[names.HEADER_POOL] for _ in range(8)]
        assert (pools.count("light"), pools.count("twin")) == (2, 6)
        assert ("light", "light") not in set(pairwise(pools))


async def test_a_query_does_not_wait_for_its_turn_s_pool_beside_a_free_slot() -> None:
    finish = asyncio.Event()

    async def hold(_: Request, responder: Responder) -> None:
        await finish.wait()
        await responder.send(200, [("content-type", "application/json")], completion("late"))

    light = config().pools[0].model_copy(update={"concurrency_per_replica": 1, "weight": 9})
    twin = light.model_copy(update={"name": "twin", "model_name": "glm-twin", "weight": 1})
    async with (
        replica(hold) as one,
        replica(hold) as other,
        running_gateway(config(light, twin, config().pools[1]), light=[one.port], twin=[other.port]) as gate,
    ):
        both = [asyncio.create_task(gate.chat()) for _ in range(2)]
        await eventually(lambda: (one.in_flight, other.in_flight) == (1, 1))
        finish.set()
        assert [(await task).status for task in both] == [200, 200]


async def test_odd_requests_never_get_a_500() -> None:
    """Truncations and single-byte changes of real requests: 4xx or served, never a 5xx of the gateway's own."""
    good = request("POST", names.PATH_CHAT, body=chat_body(COMPLEX_PROMPT))
    rng = np.random.default_rng(1)

    async def answer(request: Request, responder: Responder) -> None:
        await responder.send(200)

    async with replica(answer) as light, running_gateway(light=[light.port], large=[light.port]) as gate:
        for _ in range(300):
            data = bytearray(good)
            data[rng.integers(len(data))] = rng.integers(256)
            answered = await exchange(gate.port, bytes(data), seconds=0.02)
            assert not answered or status_of(answered) < 500 or status_of(answered) == 505
