"""The access log: what is told of every query, what never is, and that it holds up nobody."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest

from autoglm_api import names
from autoglm_api.cache import Cache
from autoglm_api.config import GatewayConfig
from autoglm_api.gateway import AccessLog
from autoglm_api.keys import Auth, SecretRef, hash_of
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import (
    SIMPLE_PROMPT,
    GatewayUnderTest,
    Replica,
    chat_body,
    config,
    replica,
    running_gateway,
)
from support.raw_http import HOST, eventually, request

KEY = "agk-open-sesame"
TRACE = "0af7651916cd43dd8448eb211c80319c"
MARKED: Sequence[tuple[str, str]] = (
    (names.HEADER_REQUEST_ID, "r-1"),
    (names.HEADER_TRACEPARENT, f"00-{TRACE}-b7ad6b7169203331-01"),
)


class Written(list[bytes]):
    """What the log has written so far."""

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in b"".join(self).splitlines()]

    async def line(self, number: int = 0) -> dict[str, Any]:
        """One line, once it is written."""
        await eventually(lambda: len(self.lines) > number)
        return self.lines[number]


def logged(**settings: Any) -> GatewayConfig:
    return config(access_log=AccessLog.JSON, **settings)


@asynccontextmanager
async def logging_gateway(settings: GatewayConfig, light: Replica) -> AsyncIterator[tuple[GatewayUnderTest, Written]]:
    written = Written()
    async with running_gateway(settings, light=[light.port]) as gate:
        gate.gateway._access_log._write = written.append
        yield gate, written


async def stream(request: Request, responder: Responder) -> None:
    """Six events, after which it waits for the client to leave if that wants to."""
    responder.start(200, [("content-type", "text/event-stream")])
    for _ in range(6):
        await responder.write(b'data: {"choices": []}\n\n')
        await asyncio.sleep(0.01)
    if b"forever" in request.body:
        await asyncio.sleep(60)
    await responder.write(b"data: [DONE]\n\n")
    await responder.end()


async def test_a_query_is_told_with_its_way_and_its_times() -> None:
    async with replica() as light, logging_gateway(logged(), light) as (gate, written):
        sent = await gate.send(body=chat_body(), headers=MARKED)
        assert sent.status == 200
        line = await written.line()
    assert line["time"].endswith("Z")
    assert (line["request_id"], line["trace_id"]) == ("r-1", TRACE)
    assert [line[name] for name in ("outcome", "status", "error", "tenant", "cache")] == [
        "answered",
        200,
        None,
        None,
        None,
    ]
    way = [line[name] for name in ("class", "pool", "replica", "tier", "reason")]
    assert way == ["Simple", "light", f"{HOST}:{light.port}", "Normal", "score"]
    assert 0 <= line["queue_ms"] <= line["first_byte_ms"] <= line["total_ms"] < 5000
    assert line["prompt_tokens"] > 0


async def test_a_stream_is_told_once_with_its_tokens() -> None:
    async with replica(stream) as light, logging_gateway(logged(), light) as (gate, written):
        await gate.chat(stream=True)
        line = await written.line()
        assert (line["outcome"], line["output_tokens"]) == ("answered", 4), "all but role, end and [DONE]"
        assert line["total_ms"] - line["first_byte_ms"] >= 50
        assert len(written.lines) == 1


async def test_a_client_that_leaves_is_told_as_one() -> None:
    async with replica(stream) as light, logging_gateway(logged(), light) as (gate, written):
        reader, writer = await asyncio.open_connection(HOST, gate.port)
        writer.write(request("POST", names.PATH_CHAT, body=chat_body("forever", stream=True)))
        await reader.readuntil(b"data:")
        writer.close()
        line = await written.line()
        assert (line["outcome"], line["status"]) == ("left", 499)


async def broken(request: Request, responder: Responder) -> None:
    del request
    responder.start(200, [("content-type", "text/event-stream")])
    await responder.write(b'data: {"choices": []}\n\n' * 5)
    await asyncio.sleep(0.05)
    responder.abort()


async def test_an_answer_that_broke_off_is_told_as_one() -> None:
    async with replica(broken) as light, logging_gateway(logged(), light) as (gate, written):
        await gate.chat(stream=True)
        line = await written.line()
        assert (line["outcome"], line["status"], line["output_tokens"]) == ("broken", 200, 2)


@pytest.mark.parametrize(
    ("asked", "status", "error"),
    [
        ({"target": "/v1/secret-path"}, 404, None),
        ({"body": b"{"}, 400, None),
        ({"body": chat_body(model="secret-model")}, 404, "model_not_found"),
    ],
)
async def test_what_never_had_a_pool_is_told_without_the_clients_words(
    asked: dict[str, Any], status: int, error: str | None
) -> None:
    async with replica() as light, logging_gateway(logged(), light) as (gate, written):
        assert (await gate.send(headers=MARKED, **asked)).status == status
        line = await written.line()
        assert (line["outcome"], line["status"], line["error"]) == ("refused", status, error)
        assert line["request_id"] == "r-1"
        assert b"secret" not in b"".join(written)


async def test_a_query_without_a_replica_is_told_with_the_reason() -> None:
    async with replica() as light, logging_gateway(logged(max_wait_seconds=0), light) as (gate, written):
        gate.locate()
        assert (await gate.chat()).status == 504
        line = await written.line()
        assert (line["outcome"], line["status"], line["error"]) == ("refused", 504, "queue_timeout")
        assert (line["pool"], line["replica"], line["queue_ms"]) == ("light", None, None)


async def test_hits_and_misses_of_the_cache_are_told() -> None:
    async with replica() as light, logging_gateway(logged(cache=Cache()), light) as (gate, written):
        for _ in range(3):
            await gate.chat(temperature=0)
        await gate.chat()
        await written.line(3)
        assert [line["cache"] for line in written.lines] == ["miss", "miss", "hit", "bypass"]
        assert [line["replica"] is None for line in written.lines] == [False, False, True, False]


async def test_neither_prompts_nor_keys_nor_tenants_are_written() -> None:
    keys = Auth(api_keys_secret_ref=SecretRef(name="shop-keys"))
    entry = orjson.dumps({"hashes": [hash_of(KEY)], "tenant": "acme"})
    async with replica() as light, logging_gateway(logged(auth=keys), light) as (gate, written):
        gate.gateway.fleet.callers.follow({"web": entry})
        for key in (KEY, "agk-wrong"):
            await gate.send(body=chat_body(), headers=[("authorization", f"Bearer {key}")])
        await written.line(1)
        text = b"".join(written).decode()
        assert [line["outcome"] for line in written.lines] == ["answered", "refused"]
        assert written.lines[0]["tenant"] == names.short_hash("acme")
    assert not [word for word in (KEY, "agk-", "acme", *SIMPLE_PROMPT.split()[:3]) if f'"{word}' in text or KEY in text]
    assert "lamp" not in text


async def test_it_is_off_unless_it_is_wanted_and_follows_the_configuration() -> None:
    async with replica() as light, logging_gateway(config(), light) as (gate, written):
        await gate.chat()
        gate.gateway.fleet.configure(logged())
        await gate.chat()
        await written.line()
        gate.gateway.fleet.configure(config())
        await gate.chat()
        gate.gateway.fleet.configure(logged())
        await gate.chat()
        await written.line(1)
        assert len(written.lines) == 2


async def test_a_stdout_that_nobody_reads_holds_up_no_query_and_is_counted() -> None:
    stuck = threading.Event()
    async with replica() as light, logging_gateway(logged(), light) as (gate, _):
        log = gate.gateway._access_log

        def hang(_: bytes) -> None:
            stuck.wait(10)

        log._write = hang
        log._capacity = 3
        await gate.chat()
        await eventually(lambda: not log._lines)  # the writer has it, and hangs
        answers = [await gate.chat() for _ in range(5)]
        assert [answer.status for answer in answers] == [200] * 5
        metrics = (await gate.send("GET", names.PATH_METRICS, admin=True)).body.decode()
        assert f"{names.METRIC_GATEWAY_ACCESS_LOG_DROPPED} 2.0" in metrics
        stuck.set()


async def test_lines_that_cannot_be_written_are_counted_and_the_next_ones_are_tried() -> None:
    async with replica() as light, logging_gateway(logged(), light) as (gate, written):
        log = gate.gateway._access_log

        def refuse(_: bytes) -> None:
            raise BrokenPipeError

        log._write = refuse
        await gate.chat()
        await eventually(lambda: log.dropped == 1)
        log._write = written.append
        await gate.chat()
        await written.line()


async def test_what_is_left_is_written_at_the_end() -> None:
    async with replica() as light, logging_gateway(logged(), light) as (gate, written):
        await gate.chat()
    assert len(written.lines) == 1
