"""The load generator against a real HTTP server that answers by script: bad servers must not be flattered."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import cycle

from autoglm_api import names
from autoglm_demo.load import NOT_SENT, Traffic
from autoglm_demo.records import failures
from autoglm_demo.wire import Wire
from autoglm_shop.task import Query, demo_queries
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import Handler, HttpServer

QUERIES = demo_queries(3, 40)
ANSWERS = {query.prompt: query.answer for query in QUERIES}
HEADERS = (("content-type", "application/json"), (names.HEADER_POOL, "light"), (names.HEADER_SIMULATED, "true"))


def queries() -> Iterator[Query]:
    return cycle(QUERIES)


@asynccontextmanager
async def traffic_to(handler: Handler, *, most_open: int = 1000, patience: float = 5) -> AsyncIterator[Traffic]:
    server = HttpServer(handler, Limits())
    port = await server.start("127.0.0.1", 0)
    traffic = Traffic(Wire("127.0.0.1", port), "shop", timeout_seconds=patience, most_open=most_open)
    traffic.start()
    try:
        yield traffic
    finally:
        traffic.wire.close()
        await server.close()


def answer_to(request: Request) -> str:
    return ANSWERS[json.loads(request.body)["messages"][0]["content"]]


async def right(request: Request, responder: Responder) -> None:
    body = {"choices": [{"message": {"content": answer_to(request)}}]}
    await responder.send(200, HEADERS, json.dumps(body).encode())


async def stream(request: Request, responder: Responder) -> None:
    responder.start(200, HEADERS)
    for word in answer_to(request).split(" "):
        await responder.write(f"data: {json.dumps({'choices': [{'delta': {'content': word}}]})}\n\n".encode())
    await responder.write(b"data: [DONE]\n\n")
    await responder.end()


async def cut(_: Request, responder: Responder) -> None:
    responder.start(200, HEADERS)
    await responder.write(b'data: {"choices": [{"delta": {"content": "4"}}]}\n\n')
    responder.abort()


async def busy(_: Request, responder: Responder) -> None:
    await responder.send(429, (("retry-after", "1"),), b"{}")


async def silent(_: Request, responder: Responder) -> None:
    await responder.disconnected.wait()


async def test_a_right_answer_is_recorded_with_pool_and_times() -> None:
    async with traffic_to(right) as traffic:
        record = await traffic.ask(QUERIES[0])
    assert record.answered
    assert record.correct
    assert (record.pool, record.simulated, record.kind) == ("light", True, QUERIES[0].kind)
    assert record.first_byte is not None
    assert 0 <= record.sent <= record.first_byte <= record.done


async def test_a_wrong_answer_is_not_correct() -> None:
    async def wrong(_: Request, responder: Responder) -> None:
        await responder.send(200, HEADERS, b'{"choices": [{"message": {"content": "no idea"}}]}')

    async with traffic_to(wrong) as traffic:
        record = await traffic.ask(QUERIES[0])
    assert (record.answered, record.correct) == (True, False)


async def test_a_whole_stream_is_answered_and_a_cut_one_is_not() -> None:
    async with traffic_to(stream) as traffic:
        assert (await traffic.ask(QUERIES[0], stream=True)).answered
    async with traffic_to(cut) as traffic:
        record = await traffic.ask(QUERIES[0], stream=True)
    assert not record.answered
    assert "in the middle" in record.error


async def test_a_refusal_keeps_its_status() -> None:
    async with traffic_to(busy) as traffic:
        record = await traffic.ask(QUERIES[0])
    assert (record.status, record.answered, record.error) == (429, False, "")


async def test_silence_ends_at_the_timeout_and_frees_the_place() -> None:
    async with traffic_to(silent, patience=0.05) as traffic:
        record = await traffic.ask(QUERIES[0])
    assert (record.answered, record.error) == (False, "TimeoutError")
    assert sum(traffic.open.values()) == 0


async def test_no_server_is_a_failure_not_an_exception() -> None:
    async with traffic_to(right) as traffic:
        pass
    record = await traffic.ask(QUERIES[0])
    assert not record.answered
    assert record.error


async def test_open_loop_sends_every_arrival_whatever_the_answers() -> None:
    async with traffic_to(right) as traffic:
        await traffic.follow([number / 1000 for number in range(200)], queries())
    assert failures(traffic.records) == {}
    assert sum(record.correct for record in traffic.records) == 200


async def test_a_query_beyond_the_limit_is_recorded_as_not_sent() -> None:
    async with traffic_to(silent, most_open=3, patience=0.1) as traffic:
        await traffic.follow([0.0] * 5, queries())
    assert [record.error for record in traffic.records].count(NOT_SENT) == 2


async def test_shoppers_ask_until_they_leave_and_finish_what_is_open() -> None:
    async with traffic_to(right) as traffic, traffic.shoppers(4, queries()):
        for _ in range(500):
            await asyncio.sleep(0.01)
            if len(traffic.records) > 4:
                break
        assert sum(traffic.open.values()) <= 4
    assert len(traffic.records) > 4
    assert failures(traffic.records) == {}
    assert sum(traffic.open.values()) == 0
