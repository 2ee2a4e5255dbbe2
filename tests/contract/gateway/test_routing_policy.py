"""Routing of real requests: who may name a class, rules, budget, spillover."""

import asyncio
import json
from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.routing import QueryClass, Routing
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import (
    COMPLEX_PROMPT,
    LARGE,
    LIGHT,
    Answer,
    chat_body,
    completion,
    config,
    pool,
    replica,
    running_gateway,
)
from support.raw_http import eventually

WEIGHTS_REF = {"weightsConfigMapRef": {"name": "mine"}}
ALWAYS_COMPLEX = json.dumps({"version": 1, "bias": 9, "features": {}})


def routing(**fields: Any) -> Any:
    return config(routing=Routing.model_validate(fields))


def routed(answer: Answer) -> tuple[str, str]:
    return answer.headers[names.HEADER_POOL], answer.headers[names.HEADER_REASON]


async def test_a_client_that_may_not_name_the_class_is_refused() -> None:
    async with replica() as light, running_gateway(routing(allowOverride=False), light=[light.port]) as gate:
        refused = await gate.send(body=chat_body(), headers=[("X-AutoGLM-Class", "Complex")])
        assert refused.status == 403
        assert refused.json["error"]["code"] == "override_not_allowed"
        assert (await gate.chat()).status == 200


RULES = [
    {"name": "reports", "match": {"taskType": "report"}, "class": "Complex"},
    {"name": "agents", "match": {"tools": True}, "class": "Complex"},
    {"name": "quick", "match": {"model": "shop-quick"}, "class": "Simple"},
]


@pytest.mark.parametrize(
    ("fields", "task", "to"),
    [
        ({}, None, "light"),
        ({}, "report", "large"),
        ({}, "chat", "light"),
        ({"tools": [{"type": "function"}]}, None, "large"),
        ({"model": "shop-quick", "prompt": COMPLEX_PROMPT}, None, "light"),
        ({"model": "shop-quick"}, "report", "large"),
        ({"model": "glm-light"}, "report", "light"),
    ],
)
async def test_rules_come_before_the_score(fields: dict[str, Any], task: str | None, to: str) -> None:
    headers = [(names.HEADER_TASK, task)] if task else []
    async with (
        replica() as light,
        replica() as large,
        running_gateway(routing(rules=RULES), light=[light.port], large=[large.port]) as gate,
    ):
        answer = await gate.send(body=chat_body(**fields), headers=headers)
        assert routed(answer)[0] == to


async def test_a_model_that_a_rule_names_is_listed_and_others_are_unknown() -> None:
    async with replica() as light, running_gateway(routing(rules=RULES), light=[light.port]) as gate:
        listed = await gate.send("GET", names.PATH_MODELS)
        assert "shop-quick" in [model["id"] for model in listed.json["data"]]
        assert (await gate.chat(model="shop-slow")).status == 404


async def test_a_budget_turns_complex_queries_down_and_counts_what_was_asked_for() -> None:
    settings = routing(threshold="Budget", complexSharePercent=20)
    async with (
        replica() as light,
        replica() as large,
        running_gateway(settings, light=[light.port], large=[large.port]) as gate,
    ):
        answers = [await gate.chat(COMPLEX_PROMPT) for _ in range(50)]
        pools = [routed(answer)[0] for answer in answers]
        assert pools.count("large") in {10, 11}
        assert {routed(answer)[1] for answer in answers if routed(answer)[0] == "light"} == {
            f"{routed(answers[0])[1]}, but the budget of 20 % is spent"
        }
        page = (await gate.send("GET", names.PATH_METRICS, admin=True)).body.decode()
        assert f'{names.METRIC_GATEWAY_OFFERED_QUERIES}{{class="Complex"}} 50.0' in page
        assert f"{names.METRIC_GATEWAY_COMPLEX_SHARE} 2" in page


async def test_a_full_class_spills_over_and_says_so() -> None:
    go = asyncio.Event()

    async def wait(_request: Request, responder: Responder) -> None:
        await go.wait()
        await responder.send(200, [("content-type", "application/json")], completion("late"))

    settings = config(
        LIGHT,
        pool("large", QueryClass.COMPLEX, concurrency_per_replica=1),
        routing=Routing(spillover=True, spillover_floor_percent=50),
    )
    async with (
        replica() as light,
        replica(wait) as large,
        running_gateway(settings, light=[light.port], large=[large.port]) as gate,
    ):
        first = asyncio.create_task(gate.chat(COMPLEX_PROMPT))
        await eventually(lambda: large.in_flight == 1)
        spilled = await gate.chat(COMPLEX_PROMPT)
        assert routed(spilled)[0] == "light"
        assert spilled.headers[names.HEADER_SPILLED_FROM] == "Complex"
        named = asyncio.create_task(gate.send(body=chat_body(), headers=[("X-AutoGLM-Class", "Complex")]))
        await asyncio.sleep(0.05)
        assert not named.done()  # who asks for a class by name gets it
        go.set()
        assert routed(await first)[0] == routed(await named)[0] == "large"
        page = (await gate.send("GET", names.PATH_METRICS, admin=True)).body.decode()
        assert f'{names.METRIC_GATEWAY_SPILLED}{{class="Complex",reason="light"}} 1.0' in page


async def test_without_spillover_a_full_class_waits() -> None:
    async with replica() as light, running_gateway(config(LIGHT, LARGE), light=[light.port], large=[]) as gate:
        waiting = asyncio.create_task(gate.chat(COMPLEX_PROMPT))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        waiting.cancel()


async def test_weights_are_replaced_while_queries_come_and_broken_ones_change_nothing() -> None:
    async with (
        replica() as light,
        replica() as large,
        running_gateway(routing(**WEIGHTS_REF), light=[light.port], large=[large.port]) as gate,
    ):
        fleet = gate.gateway.fleet

        async def now() -> tuple[str, bool]:
            page = (await gate.send("GET", names.PATH_METRICS, admin=True)).body.decode()
            return routed(await gate.chat())[0], f"{names.METRIC_GATEWAY_WEIGHTS_BROKEN} 1.0" in page

        assert await now() == ("light", False)
        fleet.weigh("mine", ALWAYS_COMPLEX)
        assert await now() == ("large", False)
        fleet.weigh("mine", '{"version": 1}')
        assert await now() == ("large", True)
        fleet.weigh("mine", None)
        assert await now() == ("large", True)
        fleet.weigh("mine", ALWAYS_COMPLEX)
        assert await now() == ("large", False)
        fleet.configure(config())
        assert await now() == ("light", False)
