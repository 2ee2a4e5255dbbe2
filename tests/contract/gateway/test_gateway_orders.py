"""Orders within a tier and the choice of a replica, over real sockets."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from autoglm_api import names
from autoglm_api.config import GatewayConfig
from autoglm_api.keys import Auth, SecretRef, hash_of
from autoglm_api.queue import Order, Queue, TaskType
from autoglm_api.spec import QueryClass
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import (
    LARGE,
    GatewayUnderTest,
    Replica,
    chat_body,
    completion,
    config,
    pool,
    replica,
    running_gateway,
)
from support.raw_http import eventually

ONE_SLOT = pool("light", QueryClass.SIMPLE, concurrency_per_replica=1)
STORY = "Please tell me the long story of "
WORD = "Yes or no, tell me if there is any "


def prompt_of(request: Request) -> str:
    text: str = orjson.loads(request.body)["messages"][-1]["content"]
    return text


class Held:
    """A replica's handler that answers at once until `closed`, and then when it is opened again."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, request: Request, responder: Responder) -> None:
        await self.open.wait()
        body = orjson.loads(completion("x"))
        long = prompt_of(request).startswith(STORY)
        body["usage"] = {"prompt_tokens": 10, "completion_tokens": 400 if long else 2}
        await responder.send(200, [("content-type", "application/json")], orjson.dumps(body))


@asynccontextmanager
async def served_by(settings: GatewayConfig) -> AsyncIterator[tuple[Held, Replica, GatewayUnderTest]]:
    held = Held()
    async with replica(held) as light, running_gateway(settings, light=[light.port]) as gate:
        yield held, light, gate


async def queue_up(held: Held, light: Replica, gate: GatewayUnderTest, asked: list[dict[str, Any]]) -> list[str]:
    """Send these one after the other while the only slot is taken; returns the prompts as they were served."""
    held.open.clear()
    known = len(light.requests)
    sent = [asyncio.create_task(gate.chat("first of all"))] if not asked[0].get("headers") else []
    if not sent:
        sent = [asyncio.create_task(gate.send(**asked.pop(0)))]
    await eventually(lambda: light.in_flight == 1)
    for number, one in enumerate(asked):
        sent.append(asyncio.create_task(gate.send(**one)))
        await eventually(lambda number=number: gate.gateway.fleet.pools["light"].queued == number + 1)
    held.open.set()
    await asyncio.gather(*sent)
    return [prompt_of(request) for request in light.requests[known + 1 :]]


def body(prompt: str, *headers: tuple[str, str]) -> dict[str, Any]:
    return {"body": chat_body(prompt), "headers": headers} if headers else {"body": chat_body(prompt)}


async def test_short_answers_go_first_once_their_lengths_are_known() -> None:
    settings = config(ONE_SLOT, LARGE, queue=Queue(order=Order.SHORTEST_REMAINING))
    async with served_by(settings) as (held, light, gate):
        before = await queue_up(held, light, gate, [body(STORY + "tea"), body(WORD + "tea")])
        for number in range(4):
            await gate.chat(f"{STORY}{number}")
            await gate.chat(f"{WORD}{number}")
        after = await queue_up(held, light, gate, [body(STORY + "salt"), body(WORD + "salt")])
    assert before == [STORY + "tea", WORD + "tea"], "nothing is known: who came first"
    assert after == [WORD + "salt", STORY + "salt"]


@pytest.mark.parametrize("order", [Order.ARRIVAL, Order.SHORTEST_REMAINING])
async def test_a_task_type_jumps_in_front_of_what_came_a_little_earlier(order: Order) -> None:
    queue = Queue(order=order, task_types=[TaskType(name="call", jump_seconds=60)])
    async with served_by(config(ONE_SLOT, LARGE, queue=queue)) as (held, light, gate):
        served = await queue_up(held, light, gate, [body("a"), body("b"), body("c", (names.HEADER_TASK, "call"))])
    assert served == ["c", "a", "b"]


async def test_a_tenant_that_floods_the_queue_does_not_keep_another_one_waiting() -> None:
    auth = Auth(api_keys_secret_ref=SecretRef(name="keys"))
    settings = config(ONE_SLOT, LARGE, queue=Queue(order=Order.FAIR), auth=auth)

    def asks(tenant: str, number: int) -> dict[str, Any]:
        text = chat_body(f"{tenant} {number}", max_tokens=2)  # as long as the answers are
        return {"body": text, "headers": [("authorization", f"Bearer {tenant}")]}

    async with served_by(settings) as (held, light, gate):
        keys = {name: json.dumps({"hashes": [hash_of(name)], "tenant": name}).encode() for name in ("flood", "shop")}
        gate.gateway.fleet.callers.follow(keys)
        asked = [asks("flood", number) for number in range(7)] + [asks("shop", number) for number in range(2)]
        served = await queue_up(held, light, gate, asked)
    assert [served.index(f"shop {number}") for number in range(2)] == [1, 3]
    assert served[-1] == "flood 6"


async def test_a_query_goes_to_the_replica_whose_stream_is_nearly_done() -> None:
    """Both have one query; what counts is the predicted work that is left, chunk by chunk."""
    finish = asyncio.Event()

    async def stream(request: Request, responder: Responder) -> None:
        responder.start(200, [("content-type", "text/event-stream")])
        for _ in range(60 if prompt_of(request) == "nearly done" else 1):
            await responder.write(b'data: {"choices": [{"index": 0, "delta": {"content": "x"}}]}\n\n')
        await finish.wait()
        await responder.write(b"data: [DONE]\n\n")
        await responder.end()

    async with replica(stream) as one, replica(stream) as two, running_gateway(light=[one.port, two.port]) as gate:
        streams = [asyncio.create_task(gate.chat("nearly done", stream=True, max_tokens=64))]
        await eventually(lambda: len(one.requests) + len(two.requests) == 1)
        done, begun = (one, two) if one.requests else (two, one)
        streams.append(asyncio.create_task(gate.chat("just begun", stream=True, max_tokens=30)))
        await eventually(lambda: len(begun.requests) == 1)
        left = [item.work for item in gate.gateway.fleet.pools["light"]._replicas.values()]
        await eventually(lambda: min(item.work for item in gate.gateway.fleet.pools["light"]._replicas.values()) < 10)
        streams.append(asyncio.create_task(gate.chat("next", stream=True, max_tokens=5)))
        await eventually(lambda: len(done.requests) + len(begun.requests) == 3)
        assert (len(done.requests), len(begun.requests)) == (2, 1), left
        finish.set()
        await asyncio.gather(*streams)
