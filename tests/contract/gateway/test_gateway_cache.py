"""The answer cache over real sockets: who gets whose answer, what is never kept, one query for many."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.cache import Cache
from autoglm_api.config import GatewayConfig
from autoglm_api.keys import Auth, SecretRef, hash_of
from autoglm_gateway.balance import Address
from autoglm_gateway.fleet import Endpoints
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import Answer, GatewayUnderTest, chat_body, completion, config, replica, running_gateway
from support.raw_http import HOST, eventually, exchange, request

JSON = ("content-type", "application/json")
EVENTS = ("content-type", "text/event-stream")
STREAM = [
    b'data: {"choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]}\n\n',
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
    b"data: [DONE]\n\n",
]


def cached(**settings: Any) -> GatewayConfig:
    return config(**({"cache": Cache()} | settings))


def keyed() -> GatewayConfig:
    return cached(auth=Auth(api_keys_secret_ref=SecretRef(name="k")))


def principal(key: str, tenant: str) -> bytes:
    return json.dumps({"hashes": [hash_of(key)], "tenant": tenant}).encode()


async def ask(
    gate: GatewayUnderTest, key: str = "", *, headers: Sequence[tuple[str, str]] = (), **fields: Any
) -> Answer:
    bearer = [("authorization", f"Bearer {key}")] if key else []
    return await gate.send(body=chat_body(**({"temperature": 0} | fields)), headers=[*bearer, *headers])


def told(answer: Answer) -> str:
    return answer.headers[names.HEADER_CACHE]


class Numbered:
    """Every answer is another one; streams stop where `cut` says, and wait for `go` before their last piece."""

    def __init__(self) -> None:
        self.count = 0
        self.go = asyncio.Event()
        self.go.set()
        self.cut = False
        self.status = 200

    async def __call__(self, request: Request, responder: Responder) -> None:
        self.count += 1
        if b'"stream":true' not in request.body:
            await self.go.wait()
            await responder.send(self.status, [JSON], completion(f"answer {self.count}"))
            return
        responder.start(200, [EVENTS])
        for piece in STREAM[:-1]:
            await responder.write(piece)
        await self.go.wait()
        if self.cut:
            responder.abort()
            return
        await responder.write(STREAM[-1])
        await responder.end()


async def test_same_tenant_hits_from_the_third_time_on_and_another_tenant_misses() -> None:
    numbered = Numbered()
    async with replica(numbered) as light, running_gateway(keyed(), light=[light.port]) as gate:
        callers = {"a": principal("key-a", "acme"), "b": principal("key-b", "acme"), "c": principal("key-c", "other")}
        gate.gateway.fleet.callers.follow(callers)
        first, second = [await ask(gate, "key-a") for _ in range(2)]
        same = [await ask(gate, "key-a"), await ask(gate, "key-b")]
        other = [await ask(gate, "key-c") for _ in range(2)]
        assert [told(one) for one in (first, second, *same, *other)] == ["miss", "miss", "hit", "hit", "miss", "miss"]
        assert [one.body for one in same] == [second.body] * 2
        assert {one.body for one in other}.isdisjoint({first.body, second.body})
        assert numbered.count == 4
        assert told(await ask(gate, "key-c")) == "hit"
        metrics = (await gate.send("GET", names.PATH_METRICS, admin=True)).body.decode()
    assert f'{names.METRIC_GATEWAY_CACHE_HITS}{{level="memory"}} 3.0' in metrics
    assert f"{names.METRIC_GATEWAY_CACHE_STORED} 2.0" in metrics
    assert f'{names.METRIC_GATEWAY_OFFERED_QUERIES}{{class="Simple"}} 4.0' in metrics, "a hit is no demand"


async def test_a_hit_tells_of_its_own_request_and_of_its_age() -> None:
    async with replica(Numbered()) as light, running_gateway(cached(), light=[light.port]) as gate:
        for _ in range(2):
            await ask(gate)
        hit = await ask(gate, headers=[(names.HEADER_REQUEST_ID, "mine")])
        assert (told(hit), hit.status, hit.headers["age"]) == ("hit", 200, "0")
        assert hit.headers[names.HEADER_REQUEST_ID] == "mine"
        assert (hit.headers[names.HEADER_POOL], hit.headers["content-type"]) == ("light", "application/json")


@pytest.mark.parametrize(
    ("headers", "fields", "said"),
    [
        ((), {"temperature": 0.5}, "bypass"),
        ((), {"tools": [{"type": "function"}]}, "bypass"),
        ((("cache-control", "no-store"),), {}, "bypass"),
        ((("cache-control", "no-cache"),), {}, "miss"),
        ((("cache-control", "max-age=0"),), {}, "miss"),
        ((("cache-control", "max-age=60"),), {}, "hit"),
        (((names.HEADER_CACHE, "allow"),), {"temperature": 0.5}, "hit"),
    ],
)
async def test_what_the_client_says_is_obeyed(headers: Any, fields: dict[str, Any], said: str) -> None:
    async with replica(Numbered()) as light, running_gateway(cached(), light=[light.port]) as gate:
        for _ in range(3):
            last = await ask(gate, headers=headers, **fields)
        assert (last.status, told(last)) == (200, said)


async def test_no_cache_brings_a_new_answer_for_all() -> None:
    numbered = Numbered()
    async with replica(numbered) as light, running_gateway(cached(), light=[light.port]) as gate:
        for _ in range(2):
            await ask(gate)
        fresh = await ask(gate, headers=[("cache-control", "no-cache")])
        assert (await ask(gate)).body == fresh.body == completion("answer 3")


async def test_without_a_cache_nothing_is_said_and_nothing_kept() -> None:
    numbered = Numbered()
    async with replica(numbered) as light, running_gateway(config(), light=[light.port]) as gate:
        answers = [await ask(gate) for _ in range(3)]
    assert all(names.HEADER_CACHE not in one.headers for one in answers)
    assert numbered.count == 3


async def test_a_stream_is_replayed_byte_by_byte_and_apart_from_whole_answers() -> None:
    async with replica(Numbered()) as light, running_gateway(cached(), light=[light.port]) as gate:
        for _ in range(2):
            await ask(gate, stream=True)
        hit, whole = await ask(gate, stream=True), await ask(gate)
    assert (told(hit), hit.headers["content-type"], hit.body) == ("hit", "text/event-stream", b"".join(STREAM))
    assert told(whole) == "miss"


async def test_a_rollout_bypasses_and_a_new_revision_begins_empty() -> None:
    numbered = Numbered()
    async with replica(numbered) as old, replica(numbered) as new, running_gateway(cached(), light=[old.port]) as gate:
        for _ in range(2):
            await ask(gate)
        before = await ask(gate)
        one, two = Address(HOST, old.port), Address(HOST, new.port)
        gate.gateway.fleet.locate(Endpoints({"light": {one: "r1", two: "r2"}}))
        during = await ask(gate)
        gate.gateway.fleet.locate(Endpoints({"light": {two: "r2"}}))
        after = await ask(gate)
        gate.gateway.fleet.locate(Endpoints({"light": {one: "r1"}}))
        assert [told(one) for one in (before, during, after, await ask(gate))] == ["hit", "bypass", "miss", "hit"]


async def test_an_answer_that_a_rollout_overtakes_is_not_kept() -> None:
    numbered = Numbered()
    async with replica(numbered) as light, running_gateway(cached(), light=[light.port]) as gate:
        await ask(gate)
        numbered.go.clear()
        slow = asyncio.create_task(ask(gate))
        await eventually(lambda: numbered.count == 2)
        gate.gateway.fleet.locate(Endpoints({"light": {Address(HOST, light.port): "r2"}}))
        numbered.go.set()
        await slow
        gate.locate(light=[light.port])
        assert told(await ask(gate)) == "miss"


async def test_a_hundred_at_once_ask_the_model_once() -> None:
    numbered = Numbered()
    numbered.go.clear()
    async with replica(numbered) as light, running_gateway(cached(), light=[light.port]) as gate:
        many = [asyncio.create_task(ask(gate, stream=number % 2 == 0)) for number in range(100)]
        await eventually(lambda: numbered.count == 2 and waiting(gate) == 98)
        numbered.go.set()
        answers = await asyncio.gather(*many)
    assert numbered.count == 2, "one whole, one stream"
    assert sorted(map(told, answers)) == ["hit"] * 98 + ["miss"] * 2
    assert {answer.body for answer in answers} == {completion("answer 1"), completion("answer 2"), b"".join(STREAM)} & {
        answer.body for answer in answers
    }


def waiting(gate: GatewayUnderTest) -> int:
    return sum(len(line) for line in gate.gateway._cache._flights._waiting.values())


async def test_a_leader_that_leaves_is_followed_and_its_answer_is_not_kept() -> None:
    numbered = Numbered()
    numbered.go.clear()
    async with replica(numbered) as light, running_gateway(cached(), light=[light.port]) as gate:
        body = chat_body(temperature=0, stream=True)
        with pytest.raises(TimeoutError):  # the leader reads two pieces and closes its connection
            await asyncio.wait_for(exchange(gate.port, request("POST", names.PATH_CHAT, body=body)), 0.2)
        heirs = [asyncio.create_task(ask(gate, stream=True)) for _ in range(3)]
        await eventually(lambda: numbered.count == 2)
        await asyncio.sleep(0.05)
        numbered.go.set()
        answers = await asyncio.gather(*heirs)
    assert numbered.count == 2
    assert {answer.body for answer in answers} == {b"".join(STREAM)}


async def test_a_broken_stream_is_never_kept_and_its_followers_ask_again() -> None:
    numbered = Numbered()
    numbered.go.clear()
    numbered.cut = True
    async with replica(numbered) as light, running_gateway(cached(), light=[light.port]) as gate:
        both = [asyncio.create_task(ask(gate, stream=True)) for _ in range(2)]
        await eventually(lambda: waiting(gate) == 1)
        numbered.go.set()
        broken = await asyncio.gather(*both)
        numbered.cut = False
        good = await ask(gate, stream=True)
    assert all(b"answer_broken" in one.body for one in broken)
    assert (told(good), good.body, numbered.count) == ("miss", b"".join(STREAM), 3)


async def test_errors_are_never_kept() -> None:
    numbered = Numbered()
    numbered.status = 400
    async with replica(numbered) as light, running_gateway(cached(), light=[light.port]) as gate:
        assert [(await ask(gate)).status for _ in range(3)] == [400] * 3
        numbered.status = 200
        assert [told(await ask(gate)) for _ in range(2)] == ["miss", "hit"]
