"""Trace context and request identifiers, as clients send them and as replicas get them (W3C Trace Context, level 1)."""

import re
from collections.abc import Sequence

import pytest

from autoglm_api import names
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import answer_name, chat_body, replica, running_gateway

GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
WELL_FORMED = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")

Pairs = Sequence[tuple[str, str]]


async def passed_on(*headers: tuple[str, str]) -> tuple[Request, dict[str, str]]:
    """What the replica gets of a query with these headers, and what the client gets back."""
    async with replica() as light, running_gateway(light=[light.port]) as gate:
        answer = await gate.send(body=chat_body(), headers=headers)
        assert answer.status == 200
        return light.requests[0], answer.headers


async def test_a_good_trace_is_passed_on_unchanged_with_its_state() -> None:
    got, _ = await passed_on((names.HEADER_TRACEPARENT, GOOD), ("tracestate", "vendor=1"))
    assert got.headers.all(names.HEADER_TRACEPARENT) == [GOOD]
    assert got.headers.all("tracestate") == ["vendor=1"]


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "nonsense",
        GOOD.upper(),
        GOOD[:-1],
        GOOD + "-00",
        GOOD.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
        GOOD.replace("b7ad6b7169203331", "0" * 16),
        GOOD.replace("00-", "ff-", 1),
        GOOD.replace("a", "g"),
        f"{GOOD}, {GOOD}",
    ],
)
async def test_a_broken_trace_is_replaced_by_a_good_one(broken: str) -> None:
    got, _ = await passed_on((names.HEADER_TRACEPARENT, broken), ("tracestate", "vendor=1"))
    (made,) = got.headers.all(names.HEADER_TRACEPARENT)
    assert WELL_FORMED.fullmatch(made)
    assert made[3:35] != GOOD[3:35]
    assert got.headers.all("tracestate") == [], "it belongs to the trace that was not passed on"


async def test_without_a_trace_one_is_begun_that_is_not_sampled_and_nobody_elses() -> None:
    made = [(await passed_on())[0].headers.get(names.HEADER_TRACEPARENT) or "" for _ in range(2)]
    assert all(WELL_FORMED.fullmatch(one) and one.endswith("-00") for one in made)
    assert made[0][3:35] != made[1][3:35]


async def test_two_traces_are_none() -> None:
    other = GOOD.replace("0af7", "1bf8")
    got, _ = await passed_on((names.HEADER_TRACEPARENT, GOOD), (names.HEADER_TRACEPARENT, other))
    (made,) = got.headers.all(names.HEADER_TRACEPARENT)
    assert WELL_FORMED.fullmatch(made)
    assert made not in {GOOD, other}


async def test_a_query_that_is_tried_again_keeps_its_trace() -> None:
    async def dies(request: Request, responder: Responder) -> None:
        if len(light.requests) == 1:
            responder.abort()
            return
        await answer_name(request, responder)

    async with replica(dies) as light, running_gateway(light=[light.port]) as gate:
        answer = await gate.send(body=chat_body(), headers=[(names.HEADER_TRACEPARENT, GOOD)])
        assert answer.status == 200
        assert [one.headers.get(names.HEADER_TRACEPARENT) for one in light.requests] == [GOOD, GOOD]
        identities = {one.headers.get(names.HEADER_REQUEST_ID) for one in light.requests}
        assert identities == {answer.headers[names.HEADER_REQUEST_ID]}


@pytest.mark.parametrize(
    ("sent", "kept"), [("mine-1", True), ("has space", False), ("x" * 129, False), ("\xe9", False)]
)
async def test_a_request_identifier_is_kept_if_it_is_one(sent: str, *, kept: bool) -> None:
    got, answered = await passed_on((names.HEADER_REQUEST_ID, sent))
    (passed,) = got.headers.all(names.HEADER_REQUEST_ID)
    assert passed == answered[names.HEADER_REQUEST_ID]
    assert (passed == sent) == kept
