"""What happens to a query on its way through the gateway, on real sockets with scripted replicas."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from autoglm_api import names
from autoglm_api.spec import QueryClass
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import (
    COMPLEX_PROMPT,
    LARGE,
    answer_name,
    chat_body,
    completion,
    config,
    draining,
    pool,
    replica,
    running_gateway,
)
from support.raw_http import HOST, eventually, request

ONE_SLOT = pool("light", QueryClass.SIMPLE, concurrency_per_replica=1)


async def never(request: Request, responder: Responder) -> None:
    await asyncio.sleep(60)


async def cut(request: Request, responder: Responder) -> None:
    responder.abort()


def held(event: asyncio.Event) -> Callable[[Request, Responder], Awaitable[None]]:
    async def handle(request: Request, responder: Responder) -> None:
        await event.wait()
        await answer_name(request, responder)

    return handle


async def test_the_class_decides_the_pool_and_the_answer_says_why() -> None:
    async with replica() as light, replica() as large, running_gateway(light=[light.port], large=[large.port]) as gate:
        simple, hard = await gate.chat(), await gate.chat(COMPLEX_PROMPT)
        assert [simple.headers[name] for name in (names.HEADER_POOL, names.HEADER_ROUTED_CLASS)] == ["light", "Simple"]
        assert [hard.headers[name] for name in (names.HEADER_POOL, names.HEADER_ROUTED_CLASS)] == ["large", "Complex"]
        assert hard.headers[names.HEADER_REASON] == f"score {hard.headers[names.HEADER_SCORE]} of 50"
        assert (len(light.requests), len(large.requests)) == (1, 1)


async def test_bodies_are_relayed_verbatim_in_both_directions() -> None:
    odd = b'{ "model":"shop-assistant", "messages" : [{"role":"user","content":"caf\\u00e9"}], "x": 1e2 }\n'

    async def echo(request: Request, responder: Responder) -> None:
        await responder.send(201, [("content-type", "text/odd")], request.body)

    async with replica(echo) as light, running_gateway(light=[light.port]) as gate:
        answer = await gate.send(body=odd)
        assert (answer.status, answer.headers["content-type"], answer.body) == (201, "text/odd", odd)
        assert light.requests[0].body == odd


async def test_private_and_hop_by_hop_headers_do_not_pass() -> None:
    sent = [
        ("connection", "x-secret"),
        ("x-secret", "1"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-autoglm-deadline-ms", "250000"),
        ("x-autoglm-anything", "1"),
        ("authorization", "Bearer key"),
        ("x-mine", "kept"),
        (names.HEADER_REQUEST_ID, "my-id"),
    ]
    async with replica() as light, running_gateway(light=[light.port]) as gate:
        answer = await gate.send(body=chat_body(), headers=sent)
        got = dict(light.requests[0].headers.decoded())
        assert {"x-secret", "x-forwarded-for", "x-autoglm-anything", "authorization"} & got.keys() == set()
        assert (got["x-mine"], got[names.HEADER_REQUEST_ID]) == ("kept", "my-id")
        assert answer.headers[names.HEADER_REQUEST_ID] == "my-id"
        assert 200_000 < int(got[names.HEADER_DEADLINE]) <= 250_000
        assert (got[names.HEADER_TIER], got[names.HEADER_CLASS]) == ("Normal", "Simple")
        assert len(got[names.HEADER_TRACEPARENT]) == 55


@pytest.mark.parametrize("value", ["Complex", "complex"])
async def test_the_override_header_names_the_class(value: str) -> None:
    async with replica() as large, running_gateway(large=[large.port]) as gate:
        answer = await gate.send(body=chat_body(), headers=[("X-AutoGLM-Class", value)])
        assert (answer.headers[names.HEADER_POOL], large.requests[0].headers.get(names.HEADER_CLASS)) == (
            "large",
            "Complex",
        )


async def test_a_pool_s_model_name_pins_the_pool() -> None:
    async with replica() as large, running_gateway(large=[large.port]) as gate:
        answer = await gate.chat(model="glm-large")
        assert (answer.status, answer.headers[names.HEADER_REASON]) == (200, "pinned by model name")


async def test_never_more_in_flight_than_the_cap_and_nothing_is_lost() -> None:
    async def work(request: Request, responder: Responder) -> None:
        await asyncio.sleep(0.002)
        await answer_name(request, responder)

    two = pool("light", QueryClass.SIMPLE, concurrency_per_replica=2)
    async with (
        replica(work) as one,
        replica(work) as other,
        running_gateway(config(two, LARGE), light=[one.port, other.port]) as gate,
    ):
        answers = await asyncio.gather(*(gate.chat() for _ in range(60)))
        assert {answer.status for answer in answers} == {200}
        assert (one.most_in_flight, other.most_in_flight) == (2, 2)
        assert abs(len(one.requests) - len(other.requests)) <= 4


async def test_gateways_share_a_replica() -> None:
    finish = asyncio.Event()
    async with replica(held(finish)) as light, running_gateway(light=[light.port], gateways=3) as gate:
        waiting = [asyncio.create_task(gate.chat()) for _ in range(6)]
        await eventually(lambda: gate.gateway.fleet.pools["light"].queued == 3)  # ceil(8 / 3) are sent
        finish.set()
        assert {(await task).status for task in waiting} == {200}


async def test_a_full_queue_answers_429_with_retry_after() -> None:
    finish = asyncio.Event()
    async with (
        replica(held(finish)) as light,
        running_gateway(config(ONE_SLOT, LARGE, max_queries=1), light=[light.port]) as gate,
    ):
        accepted = [asyncio.create_task(gate.chat()) for _ in range(2)]
        await eventually(lambda: gate.gateway.fleet.pools["light"].queued == 1)
        refused = await gate.chat()
        assert (refused.status, refused.json["error"]["code"]) == (429, "queue_full")
        assert int(refused.headers["retry-after"]) >= 1
        finish.set()
        assert [(await task).status for task in accepted] == [200, 200]


async def test_waiting_too_long_answers_504() -> None:
    async with running_gateway(config(max_wait_seconds=1)) as gate:
        answer = await gate.chat()
        assert (answer.status, answer.json["error"]["code"]) == (504, "queue_timeout")


async def test_a_query_waits_for_the_first_replica_of_its_pool() -> None:
    async with replica() as light, running_gateway() as gate:
        waiting = asyncio.create_task(gate.chat())
        await eventually(lambda: gate.gateway.fleet.pools["light"].queued == 1)
        gate.locate(light=[light.port])
        assert (await waiting).status == 200


async def test_draining_replicas_are_left_without_spending_the_retry() -> None:
    async with (
        replica(draining()) as one,
        replica(draining()) as two,
        replica(draining()) as three,
        replica() as good,
        running_gateway(light=[one.port, two.port, three.port, good.port]) as gate,
    ):
        assert [(await gate.chat()).status for _ in range(8)] == [200] * 8
        assert [len(left.requests) for left in (one, two, three)] == [1, 1, 1]
        assert len(good.requests) == 8


async def test_a_dead_replica_is_avoided() -> None:
    async with replica() as dead:
        pass
    async with replica() as good, running_gateway(light=[dead.port, good.port]) as gate:
        assert [(await gate.chat()).status for _ in range(4)] == [200] * 4


async def test_a_replica_that_hangs_up_is_replaced_once() -> None:
    async with replica(cut) as bad, replica() as good, running_gateway(light=[bad.port, good.port]) as gate:
        assert [(await gate.chat()).status for _ in range(4)] == [200] * 4
        assert (len(bad.requests), len(good.requests)) == (1, 4)


async def test_two_hang_ups_are_answered_502() -> None:
    async with replica(cut) as one, replica(cut) as two, running_gateway(light=[one.port, two.port]) as gate:
        answer = await gate.chat()
        assert (answer.status, len(one.requests) + len(two.requests)) == (502, 2)


async def engine_failed(request: Request, responder: Responder) -> None:
    await responder.send(503, [("content-type", "application/json")], b'{"error": {"code": "engine_failed"}}')


async def test_a_replica_whose_engine_failed_is_replaced_once() -> None:
    async with replica(engine_failed) as bad, replica() as good, running_gateway(light=[bad.port, good.port]) as gate:
        assert [(await gate.chat()).status for _ in range(4)] == [200] * 4
        assert (len(bad.requests), len(good.requests)) == (1, 4)


async def test_the_second_failed_engine_speaks_for_itself() -> None:
    async with (
        replica(engine_failed) as one,
        replica(engine_failed) as two,
        running_gateway(light=[one.port, two.port]) as gate,
    ):
        answer = await gate.chat()
        assert (answer.status, answer.json["error"]["code"]) == (503, "engine_failed")
        assert len(one.requests) + len(two.requests) == 2


async def test_what_chose_retried_and_rejected_is_counted() -> None:
    async with replica(cut) as one, replica(cut) as two, running_gateway(light=[one.port, two.port]) as gate:
        await gate.chat()
        await gate.chat(model="glm-light")
        metrics = (await gate.send("GET", "/metrics", admin=True)).body.decode().splitlines()
    assert f'{names.METRIC_GATEWAY_ROUTED}{{class="Simple",reason="score"}} 1.0' in metrics
    assert f'{names.METRIC_GATEWAY_ROUTED}{{class="Simple",reason="model"}} 1.0' in metrics
    assert f'{names.METRIC_GATEWAY_RETRIES}{{pool="light",reason="lost"}} 2.0' in metrics
    assert f'{names.METRIC_GATEWAY_REJECTED}{{pool="light",reason="502"}} 2.0' in metrics


async def test_a_full_replica_is_tried_again() -> None:
    tries: list[int] = []

    async def full_once(request: Request, responder: Responder) -> None:
        tries.append(1)
        await (responder.send(429) if len(tries) == 1 else answer_name(request, responder))

    async with replica(full_once) as light, running_gateway(light=[light.port]) as gate:
        assert ((await gate.chat()).status, len(tries)) == (200, 2)


async def test_a_silent_replica_is_answered_504_and_its_work_is_cancelled() -> None:
    async with replica(never) as light, running_gateway(light=[light.port], times={"answer_seconds": 0.1}) as gate:
        answer = await gate.chat()
        assert (answer.status, answer.json["error"]["code"]) == (504, "answer_timeout")
        await eventually(lambda: light.cancelled == 1)


async def test_streams_are_relayed_as_they_come() -> None:
    more = asyncio.Event()

    async def stream(request: Request, responder: Responder) -> None:
        responder.start(200, [("content-type", "text/event-stream")])
        await responder.write(b"data: 1\n\n")
        await more.wait()
        await responder.write(b"data: [DONE]\n\n")
        await responder.end()

    async with (
        replica(stream) as light,
        running_gateway(light=[light.port]) as gate,
        await gate.client.request(HOST, gate.port, "POST", names.PATH_CHAT, (), chat_body()) as response,
    ):
        chunks = response.chunks()
        assert await anext(chunks) == b"data: 1\n\n"
        more.set()
        assert [chunk async for chunk in chunks] == [b"data: [DONE]\n\n"]


async def test_a_stream_that_breaks_ends_in_an_error_event() -> None:
    async def half(request: Request, responder: Responder) -> None:
        responder.start(200, [("content-type", "text/event-stream")])
        await responder.write(b'data: {"half')
        await asyncio.sleep(0.01)
        responder.abort()

    async with replica(half) as light, running_gateway(light=[light.port]) as gate:
        answer = await gate.chat(stream=True)
        assert answer.body.startswith(b'data: {"half\n\ndata: {"error":')
        assert answer.body.endswith(b"\n\n")
        metrics = await gate.send("GET", "/metrics", admin=True)
        assert b'autoglm_gateway_queries_total{class="Simple",code="broken",pool="light"} 1.0' in metrics.body


async def test_a_json_answer_that_breaks_is_cut_not_truncated_in_silence() -> None:
    async def half(request: Request, responder: Responder) -> None:
        responder.start(200, [("content-length", "100")])
        await responder.write(b'{"half')
        await asyncio.sleep(0.01)
        responder.abort()

    async with replica(half) as light, running_gateway(light=[light.port]) as gate:
        with pytest.raises(Exception, match="middle of its answer"):
            await gate.chat()


async def test_a_stalled_stream_is_broken_off() -> None:
    async def stall(request: Request, responder: Responder) -> None:
        responder.start(200, [("content-type", "text/event-stream")])
        await responder.write(b"data: 1\n\n")
        await asyncio.sleep(60)

    async with replica(stall) as light, running_gateway(light=[light.port], times={"stall_seconds": 0.1}) as gate:
        answer = await gate.chat(stream=True)
        assert b"silent for too long" in answer.body
        await eventually(lambda: light.cancelled == 1)


@pytest.mark.parametrize("streams", [False, True], ids=["before the answer", "in the middle of it"])
async def test_a_client_that_leaves_frees_the_replica(*, streams: bool) -> None:
    async def work(request: Request, responder: Responder) -> None:
        if streams:
            responder.start(200, [("content-type", "text/event-stream")])
            await responder.write(b"data: 1\n\n")
        await asyncio.sleep(60)

    async with replica(work) as light, running_gateway(config(ONE_SLOT, LARGE), light=[light.port]) as gate:
        _, writer = await asyncio.open_connection(HOST, gate.port)
        writer.write(request("POST", names.PATH_CHAT, body=chat_body()))
        await eventually(lambda: light.in_flight == 1)
        writer.close()
        await eventually(lambda: light.cancelled == 1 and gate.gateway.fleet.pools["light"].in_flight == 0)
        metrics = await gate.send("GET", "/metrics", admin=True)
        assert b'code="499",pool="light"} 1.0' in metrics.body


async def test_a_client_that_leaves_gives_up_its_place_in_the_queue() -> None:
    finish = asyncio.Event()
    async with replica(held(finish)) as light, running_gateway(config(ONE_SLOT, LARGE), light=[light.port]) as gate:
        first = asyncio.create_task(gate.chat())
        await eventually(lambda: light.in_flight == 1)
        _, writer = await asyncio.open_connection(HOST, gate.port)
        writer.write(request("POST", names.PATH_CHAT, body=chat_body()))
        await eventually(lambda: gate.gateway.fleet.pools["light"].queued == 1)
        writer.close()
        await eventually(lambda: gate.gateway.fleet.pools["light"].queued == 0)
        finish.set()
        assert ((await first).status, len(light.requests)) == (200, 1)


async def test_a_slow_reader_slows_the_replica_down() -> None:
    written = 0

    async def endless(request: Request, responder: Responder) -> None:
        nonlocal written
        responder.start(200, [("content-type", "text/event-stream")])
        while True:
            await responder.write(b"x" * 65536)
            written += 65536

    async with replica(endless) as light, running_gateway(light=[light.port]) as gate:
        _, writer = await asyncio.open_connection(HOST, gate.port, limit=1024)
        writer.write(request("POST", names.PATH_CHAT, body=chat_body()))
        await eventually(lambda: written > 0)
        await asyncio.sleep(0.3)
        before = written
        await asyncio.sleep(0.1)
        assert (written == before, written < 32_000_000) == (True, True)
        writer.close()
        await eventually(lambda: light.in_flight == 0)


async def test_a_removed_pool_turns_its_queue_away() -> None:
    async with running_gateway() as gate:
        waiting = asyncio.create_task(gate.chat())
        await eventually(lambda: gate.gateway.fleet.pools["light"].queued == 1)
        gate.gateway.fleet.configure(config(pool("other", QueryClass.SIMPLE), LARGE))
        assert (await waiting).status == 503


async def test_draining_finishes_what_is_in_flight() -> None:
    finish = asyncio.Event()
    async with replica(held(finish)) as light, running_gateway(light=[light.port]) as gate:
        busy = asyncio.create_task(gate.chat())
        await eventually(lambda: light.in_flight == 1)
        draining_gateway = asyncio.create_task(gate.gateway.drain())
        await asyncio.sleep(0.01)
        assert (await gate.send("GET", "/readyz", admin=True)).status == 503
        finish.set()
        assert await draining_gateway == 0
        assert ((await busy).body, (await busy).headers["connection"]) == (completion("done"), "close")


async def test_a_replica_that_hangs_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoglm_gateway.balance._FIRST_BACKOFF_SECONDS", 10.0)
    async with (
        replica(never) as hung,
        replica() as good,
        running_gateway(light=[hung.port, good.port], times={"answer_seconds": 0.1}) as gate,
    ):
        assert sorted([(await gate.chat()).status for _ in range(2)]) == [200, 504]
        assert [(await gate.chat()).status for _ in range(4)] == [200] * 4
        assert len(hung.requests) == 1


async def test_a_sized_stream_that_breaks_is_cut_and_never_longer_than_announced() -> None:
    async def half(request: Request, responder: Responder) -> None:
        responder.start(200, [("content-type", "text/event-stream"), ("content-length", "100")])
        await responder.write(b"data: 1\n\n")
        await asyncio.sleep(0.01)
        responder.abort()

    async with replica(half) as light, running_gateway(light=[light.port]) as gate:
        with pytest.raises(Exception, match="middle of its answer"):
            await gate.chat(stream=True)


async def test_a_query_sent_back_when_its_pool_is_gone_is_turned_away() -> None:
    finish = asyncio.Event()

    async def drains(request: Request, responder: Responder) -> None:
        await finish.wait()
        await responder.send(503, [(names.HEADER_DRAINING, "1")])

    async with replica(drains) as light, running_gateway(light=[light.port]) as gate:
        busy = asyncio.create_task(gate.chat())
        await eventually(lambda: light.in_flight == 1)
        gate.gateway.fleet.configure(config(pool("other", QueryClass.SIMPLE), LARGE))
        finish.set()
        async with asyncio.timeout(3):
            assert (await busy).json["error"]["code"] == "pool_removed"


async def test_time_at_a_lost_replica_is_no_time_in_the_queue() -> None:
    finish = asyncio.Event()

    async def dies_late(request: Request, responder: Responder) -> None:
        await asyncio.sleep(1.2)
        responder.abort()

    async with (
        replica(dies_late) as bad,
        replica(held(finish)) as good,
        running_gateway(config(ONE_SLOT, LARGE, max_wait_seconds=1), light=[bad.port]) as gate,
    ):
        lost = asyncio.create_task(gate.chat())
        await eventually(lambda: bad.in_flight == 1)
        gate.locate(light=[bad.port, good.port])
        other = asyncio.create_task(gate.chat())
        await eventually(lambda: good.in_flight == 1)
        await eventually(lambda: gate.gateway.fleet.pools["light"].queued == 1)
        finish.set()
        assert [(await task).status for task in (lost, other)] == [200, 200]


@pytest.mark.parametrize("fault", ["error", "broken stream", "garbage"])
async def test_a_replica_that_errs_at_once_does_not_draw_all_queries(fault: str) -> None:
    """It is always the least busy one; after five bad answers in a row the other one gets them, but for probes."""
    mended = False

    async def errs(request: Request, responder: Responder) -> None:
        if mended:
            await answer_name(request, responder)
        elif fault == "error":
            await responder.send(500, [("content-type", "application/json")], b"{}")
        elif fault == "broken stream":
            responder.start(200, [("content-type", "text/event-stream")])
            await responder.write(b"data: {}\n\n")
            responder.abort()
        else:
            responder.start(200, [("content-length", "1"), ("content-length", "2")])
            await responder.end()

    async with replica(errs) as bad, replica() as good, running_gateway(light=[bad.port, good.port]) as gate:
        for _ in range(40):
            await gate.chat()
        assert 5 <= len(bad.requests) <= 8
        assert len(good.requests) >= 32
        mended = True
        await asyncio.sleep(0.6)  # the first pause
        before = len(bad.requests)
        assert {(await gate.chat()).status for _ in range(20)} == {200}
        assert len(bad.requests) >= before + 9
