"""What the gateway tells of the work that it is asked to do: on its metrics page and at the demand endpoint."""

import asyncio

import orjson

from autoglm_api import names
from autoglm_api.config import Demand
from autoglm_api.routing import WRITTEN_CLASSES
from autoglm_api.spec import QueryClass
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import COMPLEX_PROMPT, LARGE, GatewayUnderTest, config, pool, replica, running_gateway

ANSWER_TOKENS = 30


async def metrics_of(gate: GatewayUnderTest) -> dict[str, float]:
    page = (await gate.send("GET", names.PATH_METRICS, admin=True)).body.decode()
    rows = [line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, value in rows}


async def demand_of(gate: GatewayUnderTest) -> Demand:
    return Demand.model_validate_json((await gate.send("GET", names.PATH_DEMAND, admin=True)).body)


async def answer_with_usage(request: Request, responder: Responder) -> None:
    if b'"stream":true' in request.body:
        responder.start(200, [("content-type", "text/event-stream")])
        for _ in range(ANSWER_TOKENS + 3):
            await responder.write(b"data: {}\n\n")
        await responder.end()
    else:
        usage = {"prompt_tokens": 9, "completion_tokens": ANSWER_TOKENS}
        await responder.send(200, [("content-type", "application/json")], orjson.dumps({"usage": usage}))


async def test_offered_and_served_tokens_by_class_and_pool() -> None:
    async with replica(answer_with_usage) as one, running_gateway(light=[one.port], large=[one.port]) as gate:
        for _ in range(2):
            await gate.chat()
        await gate.chat(COMPLEX_PROMPT, stream=True)
        await gate.chat(model="glm-large", max_tokens=5)
        counted = await metrics_of(gate)
        told = await demand_of(gate)
    simple, complex_ = (f'{{class="{query_class}"}}' for query_class in WRITTEN_CLASSES)
    assert counted[names.METRIC_GATEWAY_OFFERED_QUERIES + simple] == 2
    assert counted[names.METRIC_GATEWAY_OFFERED_QUERIES + complex_] == 2, "a pinned query counts where it goes"
    prompt = 6  # of "How much is the lamp?"
    served = names.METRIC_GATEWAY_SERVED_TOKENS
    assert counted[served + '{pool="light"}'] == 2 * (prompt + ANSWER_TOKENS)
    assert counted[served + '{pool="large"}'] > 2 * ANSWER_TOKENS - 30
    offered = counted[names.METRIC_GATEWAY_OFFERED_TOKENS + simple]
    assert offered == (prompt + 64) + (prompt + ANSWER_TOKENS), "the first one is a guess, the second one is learned"
    assert told.offered[0].tokens == offered
    assert told.pools[0].served_tokens == counted[served + '{pool="light"}']


async def test_queries_for_a_pool_without_replicas_are_held_and_told_at_once() -> None:
    asleep = pool("light", QueryClass.SIMPLE, may_sleep=True)
    async with replica(answer_with_usage) as one, running_gateway(config(asleep, LARGE), large=[one.port]) as gate:
        assert (await gate.send("GET", "/v2/health/ready")).status == 200, "a sleeping pool answers, after its start"
        waiting = asyncio.create_task(gate.chat())
        await asyncio.sleep(0.05)
        light = (await demand_of(gate)).pools[0]
        assert light.queued == 1
        assert (light.ready_replicas, light.queued_tokens) == (0, 6 + 64)
        gate.locate(light=[one.port], large=[one.port])
        assert (await waiting).status == 200
        light = (await demand_of(gate)).pools[0]
        assert (light.queued, light.queued_tokens, light.in_flight) == (0, 0, 0)
        assert light.replicas == {f"127.0.0.1:{one.port}": 0}


async def test_a_held_query_is_given_up_at_its_deadline_and_leaves_no_tokens() -> None:
    async with running_gateway(config(max_wait_seconds=1)) as gate:
        assert (await gate.chat()).status == 504
        assert (await demand_of(gate)).pools[0].queued_tokens == 0
