"""The queue over real sockets: tiers, deadlines, what replicas are told, retries that are bounded."""

import asyncio

from autoglm_api import names
from autoglm_api.keys import Tier
from autoglm_api.queue import Queue, TaskType, TierPolicy
from autoglm_api.spec import QueryClass
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import LARGE, answer_name, chat_body, config, pool, replica, running_gateway
from support.raw_http import eventually

ONE_SLOT = pool("light", QueryClass.SIMPLE, concurrency_per_replica=1)


async def test_who_waits_is_served_by_tier() -> None:
    finish = asyncio.Event()

    async def hold(request: Request, responder: Responder) -> None:
        await finish.wait()
        await answer_name(request, responder)

    tasks = Queue(task_types=[TaskType(name="report", tier=Tier.BATCH)])
    async with (
        replica(hold) as light,
        running_gateway(config(ONE_SLOT, LARGE, queue=tasks), light=[light.port]) as gate,
    ):
        fleet_pool = gate.gateway.fleet.pools["light"]

        def ask(*headers: tuple[str, str]) -> asyncio.Task[object]:
            return asyncio.create_task(gate.send(body=chat_body(), headers=headers))

        asked = [ask()]
        await eventually(lambda: light.in_flight == 1)
        for number, headers in enumerate([((names.HEADER_TASK, "report"),), (), ((names.HEADER_TIER, "Urgent"),)]):
            asked.append(ask(*headers))
            await eventually(lambda number=number: fleet_pool.queued == number + 1)
        page = (await gate.send("GET", names.PATH_METRICS, admin=True)).body.decode()
        finish.set()
        await asyncio.gather(*asked)
        told = [request.headers.get(names.HEADER_TIER) for request in light.requests]
    assert told == ["Normal", "Urgent", "Normal", "Batch"]
    assert f'{names.METRIC_GATEWAY_QUEUED_TIER}{{pool="light",tier="Batch"}} 1.0' in page
    assert f'{names.METRIC_GATEWAY_PROMOTIONS}{{pool="light"}} 0.0' in page
    assert f"{names.METRIC_GATEWAY_LOOP_LAG}_count" in page


async def test_a_deadline_of_the_client_ends_the_wait_early_and_reaches_the_replica() -> None:
    async with replica() as light, running_gateway() as gate:
        late = await gate.send(body=chat_body(), headers=[(names.HEADER_DEADLINE, "100")])
        passed = await gate.send(body=chat_body(), headers=[(names.HEADER_DEADLINE, "0")])
        wrong = await gate.send(body=chat_body(), headers=[(names.HEADER_DEADLINE, "-1")])
        gate.locate(light=[light.port])
        await gate.send(body=chat_body(max_tokens=7), headers=[(names.HEADER_DEADLINE, "5000")])
        headers = light.requests[0].headers
    assert [(one.status, one.json["error"]["code"]) for one in (late, passed, wrong)] == [
        (504, "deadline_exceeded"),
        (504, "deadline_exceeded"),
        (400, "invalid_deadline"),
    ]
    assert 0 < int(headers.get(names.HEADER_DEADLINE) or "") <= 5000
    assert headers.get(names.HEADER_PREDICTED_TOKENS) == "7"


async def test_a_storm_of_failures_is_not_asked_twice() -> None:
    async def die(request: Request, responder: Responder) -> None:
        del request
        responder.abort()

    wide = pool("light", QueryClass.SIMPLE, concurrency_per_replica=200)
    async with (
        replica(die) as one,
        replica(die) as two,
        running_gateway(config(wide, LARGE, max_wait_seconds=1), light=[one.port, two.port]) as gate,
    ):
        answers = await asyncio.gather(*(gate.chat() for _ in range(100)))
        codes = [answer.json["error"]["code"] for answer in answers]
        tried_again = len(one.requests) + len(two.requests) - 100
    assert {answer.status for answer in answers} <= {502, 503, 504}
    assert codes.count("retry_budget") >= 50
    assert tried_again <= 35


async def test_task_types_share_by_their_coefficients() -> None:
    types = [TaskType(name="a", coefficient=3), TaskType(name="b", coefficient=1)]
    queue = Queue(tiers=TierPolicy.WEIGHTED_ROUND_ROBIN, task_types=types)
    finish = asyncio.Event()

    async def hold(request: Request, responder: Responder) -> None:
        await finish.wait()
        await answer_name(request, responder)

    async with (
        replica(hold) as light,
        running_gateway(config(ONE_SLOT, LARGE, queue=queue), light=[light.port]) as gate,
    ):
        first = asyncio.create_task(gate.chat())
        await eventually(lambda: light.in_flight == 1)
        asked = [
            asyncio.create_task(gate.send(body=chat_body(name), headers=[(names.HEADER_TASK, name)]))
            for name in ["a"] * 8 + ["b"] * 8
        ]
        await eventually(lambda: gate.gateway.fleet.pools["light"].queued == 16)
        finish.set()
        await asyncio.gather(first, *asked)
        served = [b'"a"' in request.body for request in light.requests[1:9]]
    assert served.count(True) == 6
