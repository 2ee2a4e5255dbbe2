"""Nothing of one tenant reaches another: answers, answers that wait, keys, errors, figures."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest

from autoglm_api import names
from autoglm_api.cache import Cache
from autoglm_api.keys import Auth, SecretRef, hash_of
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import Answer, GatewayUnderTest, Replica, chat_body, completion, config, replica, running_gateway
from support.raw_http import HOST, request

KEYS = {"acme": "agk-of-acme", "globex": "agk-of-globex"}
SETTINGS = {"auth": Auth(api_keys_secret_ref=SecretRef(name="keys")), "cache": Cache()}
JSON = [("content-type", "application/json")]


@asynccontextmanager
async def two_tenants(light: Replica, **settings: object) -> AsyncIterator[GatewayUnderTest]:
    async with running_gateway(config(**(SETTINGS | settings)), light=[light.port]) as gate:
        gate.gateway.fleet.callers.follow(
            {
                tenant: orjson.dumps({"hashes": [hash_of(key)], "tenant": tenant, "models": ["shop-assistant"]})
                for tenant, key in KEYS.items()
            }
        )
        yield gate


async def ask(gate: GatewayUnderTest, tenant: str, prompt: str = "How much is the lamp?") -> Answer:
    body = chat_body(prompt, temperature=0)
    return await gate.send(body=body, headers=[("authorization", f"Bearer {KEYS[tenant]}")])


async def slowly(request: Request, responder: Responder) -> None:
    """Take a while, so that what is asked at once is asked at once."""
    await asyncio.sleep(0.05)
    await responder.send(200, JSON, completion("done"))


@pytest.mark.parametrize(("second", "told"), [("acme", "hit"), ("globex", "miss")])
async def test_a_kept_answer_is_its_tenants_only(second: str, told: str) -> None:
    async with replica() as light, two_tenants(light) as gate:
        for _ in range(2):
            await ask(gate, "acme")
        assert (await ask(gate, second)).headers[names.HEADER_CACHE] == told


@pytest.mark.parametrize(("others", "calls"), [("acme", 1), ("globex", 2)])
async def test_an_answer_on_its_way_is_shared_within_its_tenant_only(others: str, calls: int) -> None:
    async with replica(slowly) as light, two_tenants(light) as gate:
        answers = await asyncio.gather(*(ask(gate, tenant) for tenant in ("acme", others, others)))
        assert [answer.status for answer in answers] == [200] * 3
        assert len(light.requests) == calls


async def marked(request: Request, responder: Responder) -> None:
    """Answer with the question's own mark, in pieces, so that an answer can be left in the middle."""
    mark = orjson.loads(request.body)["messages"][0]["content"]
    responder.start(200, [("content-type", "text/event-stream")])
    for number in range(4):
        await responder.write(f"data: {mark} {number}\n\n".encode())
        await asyncio.sleep(random.random() * 0.004)
    await responder.end()


async def test_answers_never_reach_somebody_else_though_many_leave_in_the_middle() -> None:
    async def visit(port: int, number: int) -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        mark = f"mark-{number}-"
        key = KEYS[random.choice(list(KEYS))]
        body = chat_body(mark, stream=True)
        writer.write(request("POST", names.PATH_CHAT, body=body, extra=f"Authorization: Bearer {key}\r\n"))
        if number % 3 == 0:
            await reader.read(random.randrange(1, 600))
            writer.transport.abort()
            return
        answer = await reader.read()
        writer.close()
        text = b"".join(line for line in answer.split(b"\r\n") if line.startswith(b"data:"))
        assert text == b"".join(f"data: {mark} {piece}\n\n".encode() for piece in range(4))

    async with replica(marked) as light, two_tenants(light, cache=None) as gate:
        for _ in range(4):
            await asyncio.gather(*(visit(gate.port, number) for number in range(40)))


async def test_a_full_queue_says_nothing_of_who_fills_it() -> None:
    async with replica(slowly) as light, two_tenants(light, cache=None, max_queries=1) as gate:
        answers = await asyncio.gather(*(ask(gate, "acme", f"How much is secret{number}?") for number in range(20)))
        other = await asyncio.gather(*(ask(gate, "globex", "hello") for _ in range(20)))
        refused = [answer for answer in (*answers, *other) if answer.status == 429]
        assert refused
        for answer in refused:
            text = answer.body + orjson.dumps(answer.headers)
            assert not [word for word in (b"acme", b"globex", b"secret") if word in text.lower()]


@pytest.mark.parametrize("path", [names.PATH_METRICS, names.PATH_DEMAND, names.PATH_HEALTHZ, names.PATH_READYZ])
async def test_figures_are_not_for_clients(path: str) -> None:
    async with replica() as light, two_tenants(light) as gate:
        answer = await gate.send("GET", path, headers=[("authorization", f"Bearer {KEYS['acme']}")])
        assert answer.status == 404
        assert (await gate.send("GET", path, admin=True)).status == 200


async def test_a_key_that_is_refused_learns_nothing_of_what_is_served() -> None:
    async with replica() as light, two_tenants(light) as gate:
        for target in (names.PATH_MODELS, f"{names.PATH_MODELS}/shop-assistant", "/v2/models/glm-light", "/v2"):
            answer = await gate.send("GET", target, headers=[("authorization", "Bearer agk-nobody")])
            assert answer.status == 401
            assert b"glm" not in answer.body
            assert b"shop" not in answer.body


async def test_a_model_that_is_not_for_a_key_is_as_one_that_is_not_there() -> None:
    async with replica() as light, two_tenants(light) as gate:
        headers = [("authorization", f"Bearer {KEYS['acme']}")]
        real, invented = [
            await gate.send(body=chat_body(model=one), headers=headers) for one in ("glm-light", "glm-xxxxx")
        ]
        assert real.status == invented.status == 404
        assert real.body.replace(b"glm-light", b"?") == invented.body.replace(b"glm-xxxxx", b"?")
