"""API keys over real sockets: who may ask for what, limits, rotation without a restart."""

import asyncio
import base64
import json
from functools import partial
from typing import Any

import pytest
from kubernetes.aio import client

from autoglm_api import names
from autoglm_api.config import GatewayConfig
from autoglm_api.keys import Auth, SecretRef, hash_of
from autoglm_gateway.cluster import follow_cluster
from autoglm_gateway.fleet import Endpoints, Fleet
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import HttpServer
from support.config_api import ApiServer
from support.gateways import Answer, GatewayUnderTest, answer_name, chat_body, config, replica, running_gateway
from support.raw_http import HOST, eventually

KEYS = Auth(api_keys_secret_ref=SecretRef(name="shop-keys"))


def keyed(**settings: Any) -> GatewayConfig:
    return config(auth=KEYS, **settings)


def entry(key: str, **fields: object) -> bytes:
    return json.dumps({"hashes": [hash_of(key)], "tenant": "shop", **fields}).encode()


async def ask(gate: GatewayUnderTest, *keys: str, headers: Any = (), **fields: Any) -> Answer:
    bearers = [("authorization", f"Bearer {key}") for key in keys]
    return await gate.send(body=chat_body(**fields), headers=[*bearers, *headers])


async def test_without_a_valid_key_nothing_is_answered_but_probes() -> None:
    async with replica() as light, running_gateway(keyed(), light=[light.port], large=[light.port]) as gate:
        gate.gateway.fleet.callers.follow({"front": entry("good"), "other": entry("fine")})
        refused = [await ask(gate), await ask(gate, "bad"), await ask(gate, "good", "fine")]
        infer = await gate.send(target="/v2/models/glm-light/generate", body=b'{"text_input": "x"}')
        listed = await gate.send("GET", names.PATH_MODELS)
        ready = await gate.send("GET", "/v2/health/ready")
        assert (await ask(gate, "good")).status == 200
        assert len(light.requests) == 1
        assert light.requests[0].headers.get("authorization") is None, "keys stay in the gateway"
    assert [(answer.status, answer.json["error"]["code"]) for answer in refused] == [(401, "invalid_api_key")] * 3
    assert refused[0].headers["www-authenticate"] == "Bearer"
    assert (infer.status, isinstance(infer.json["error"], str), listed.status, ready.status) == (401, True, 401, 200)


async def test_a_head_that_is_known_lets_nobody_in_whose_key_is_revoked() -> None:
    """The same head is read once only; who sent it is asked anew when keys change."""
    async with replica() as light, running_gateway(keyed(), light=[light.port]) as gate:
        callers = gate.gateway.fleet.callers
        statuses = []
        for entries in ({"a": entry("good")}, {"a": entry("other")}, {"a": entry("good", models=["no"])}, {}):
            callers.follow(entries)
            statuses.append([(await ask(gate, "good")).status for _ in range(2)])
        gate.gateway.fleet.configure(config())
        statuses.append([(await ask(gate, "good")).status for _ in range(2)])
    assert statuses == [[200, 200], [401, 401], [404, 404], [401, 401], [200, 200]]


async def test_nobody_is_let_in_before_the_keys_are_read() -> None:
    async with replica() as light, running_gateway(keyed(), light=[light.port]) as gate:
        early = await ask(gate, "good")
        assert (early.status, early.json["error"]["code"]) == (503, "starting")
        assert (await gate.send("GET", names.PATH_READYZ, admin=True)).status == 503
        gate.gateway.fleet.callers.follow({})
        assert (await ask(gate, "good")).status == 401
        assert (await gate.send("GET", names.PATH_READYZ, admin=True)).status == 200


async def test_a_key_opens_its_models_and_no_class_by_header_or_name() -> None:
    override = [("x-autoglm-class", "Complex")]
    async with replica() as one, running_gateway(keyed(), light=[one.port], large=[one.port]) as gate:
        gate.gateway.fleet.callers.follow(
            {
                "plain": entry("plain"),
                "scoped": entry("scoped", models=["glm-large"]),
                "free": entry("free", mayChooseClass=True),
            }
        )
        assert (await ask(gate, "plain", headers=override)).status == 403
        assert (await ask(gate, "free", headers=override)).headers[names.HEADER_POOL] == "large"
        pinned = [(await ask(gate, key, model="glm-large")).status for key in ("plain", "scoped", "free")]
        hidden = await ask(gate, "scoped")
        bearer = [("authorization", "Bearer scoped")]
        listed = await gate.send("GET", names.PATH_MODELS, headers=bearer)
        card = await gate.send("GET", names.PATH_MODELS + "/glm-light", headers=bearer)
        state = await gate.send("GET", "/v2/models/glm-light/ready", headers=bearer)
    assert pinned == [404, 200, 200]
    assert (hidden.status, hidden.json["error"]["code"]) == (404, "model_not_found")
    assert "glm-light" not in hidden.json["error"]["message"]
    assert [model["id"] for model in listed.json["data"]] == ["glm-large"]
    assert (card.status, state.status) == (404, 404)


@pytest.mark.parametrize(
    ("limit", "code"),
    [({"queriesPerMinute": 1}, "rate_limit"), ({"tokensPerMinute": 40}, "token_limit"), ({}, None)],
)
async def test_a_limit_answers_429_and_costs_the_pools_nothing(limit: dict[str, int], code: str | None) -> None:
    async with replica() as light, running_gateway(keyed(), light=[light.port]) as gate:
        gate.gateway.fleet.callers.follow({"front": entry("k", **limit), "other": entry("o")})
        first, second = await ask(gate, "k", prompt="lamp " * 20), await ask(gate, "k")
        assert first.status == 200
        assert (await ask(gate, "o")).status == 200
        page = (await gate.send("GET", names.PATH_METRICS, admin=True)).body.decode()
    if code is None:
        assert second.status == 200
        return
    assert (second.status, second.json["error"]["code"]) == (429, code)
    assert 1 <= int(second.headers["retry-after"]) <= 60
    assert f'{names.METRIC_GATEWAY_LIMITED}{{limit="{code}"}} 1.0' in page
    assert f'{names.METRIC_GATEWAY_OFFERED_QUERIES}{{class="Simple"}} 2.0' in page


async def test_queries_at_once_are_bounded_and_given_back() -> None:
    finish = asyncio.Event()

    async def hold(request: Request, responder: Responder) -> None:
        await finish.wait()
        await answer_name(request, responder)

    async with replica(hold) as light, running_gateway(keyed(), light=[light.port]) as gate:
        gate.gateway.fleet.callers.follow({"front": entry("k", concurrency=1)})
        busy = asyncio.create_task(ask(gate, "k"))
        await eventually(lambda: light.in_flight == 1)
        gate.gateway.fleet.callers.follow({"front": entry("k", concurrency=1, tenant="renamed")})
        refused = await ask(gate, "k")
        assert (refused.status, refused.json["error"]["code"]) == (429, "concurrency_limit")
        finish.set()
        assert (await busy).status == 200
        assert (await ask(gate, "k")).status == 200


async def test_a_tier_is_granted_at_most_as_high_as_the_key_allows() -> None:
    wish = [(names.HEADER_TIER, "urgent")]
    async with replica() as light, running_gateway(keyed(), light=[light.port]) as gate:
        gate.gateway.fleet.callers.follow(
            {"low": entry("low", highestTier="Batch"), "mid": entry("mid", highestTier="Interactive")}
        )
        answers = [await ask(gate, key, headers=wish) for key in ("low", "mid")]
        await ask(gate, "low")
        assert (await ask(gate, "mid", headers=[(names.HEADER_TIER, "Highest")])).status == 400
        told = [request.headers.get(names.HEADER_TIER) for request in light.requests]
    assert told == ["Batch", "Interactive", "Batch"]
    assert [answer.headers[names.HEADER_TIER] for answer in answers] == ["Batch", "Interactive"]


async def test_keys_are_rotated_and_revoked_without_a_restart() -> None:
    server = ApiServer()
    http_server = HttpServer(server.handle, Limits())
    port = await http_server.start(HOST, 0)

    async def access(settings: client.Configuration) -> None:
        settings.host = f"http://{HOST}:{port}"

    def put(*keys: str) -> None:
        text = json.dumps({"hashes": [hash_of(key) for key in keys], "tenant": "shop"}).encode()
        server.put("shop-keys", front=base64.b64encode(text).decode())

    def open_to(key: str) -> bool:
        ring = fleet.callers._ring
        return ring is not None and ring.find(f"Bearer {key}") is not None

    seen_soon = partial(eventually, seconds=20)
    fleet = Fleet()
    fleet.locate(Endpoints({}))
    server.put("gate", gateway_json=json.dumps(keyed().to_json()))
    task = asyncio.create_task(
        follow_cluster(fleet, namespace="shop", deployment="d", config_map="gate", load_access=access)
    )
    try:
        await seen_soon(lambda: fleet.synced)
        assert not open_to("old"), "a Secret that is not there lets nobody in"
        put("old")
        await seen_soon(lambda: open_to("old"))
        put("old", "new")
        await seen_soon(lambda: open_to("new"))
        assert open_to("old")
        put("new")
        await seen_soon(lambda: not open_to("old"))
        server.put("gate", gateway_json=json.dumps(config().to_json()))
        await seen_soon(lambda: fleet.config is not None and fleet.config.auth.api_keys_secret_ref is None)
        assert fleet.synced
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await http_server.close()
