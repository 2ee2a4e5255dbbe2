"""Streams of every protocol: relayed byte by byte, and broken off in the protocol's own words."""

import pytest

from autoglm_api import names
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import DEPLOYMENT, SIMPLE_PROMPT, chat_body, replica, running_gateway

# Comments, several fields, both line ends and an unfinished last event: nothing of it is the gateway's business.
ODD_EVENTS = [b": hello\n\n", b"id: 1\r\nevent: x\r\ndata: {", b'"text_output": "a"}\n\n', b"data: unfinished"]
GENERATE = f"/v2/models/{DEPLOYMENT}/generate_stream"
TEXT = b'{"text_input": "How much is the lamp?", "stream": true}'
PROMPT = b'{"model": "shop-assistant", "prompt": "How much is the lamp?", "stream": true}'
ASKED = {
    "generate_stream": (GENERATE, TEXT),
    "chat": (names.PATH_CHAT, chat_body(SIMPLE_PROMPT, stream=True)),
    "completions": (names.PATH_COMPLETIONS, PROMPT),
}


async def events(request: Request, responder: Responder) -> None:
    responder.start(200, [("content-type", "text/event-stream; charset=utf-8")])
    for piece in ODD_EVENTS:
        await responder.write(piece)
    await responder.end()


async def break_off(request: Request, responder: Responder) -> None:
    responder.start(200, [("content-type", "text/event-stream")])
    await responder.write(b"data: {}")
    responder.abort()


@pytest.mark.parametrize(("target", "body"), ASKED.values(), ids=ASKED.keys())
async def test_events_are_relayed_verbatim(target: str, body: bytes) -> None:
    async with replica(events) as light, running_gateway(light=[light.port]) as gate:
        answer = await gate.send(target=target, body=body)
        assert (answer.body, answer.headers["content-type"]) == (
            b"".join(ODD_EVENTS),
            "text/event-stream; charset=utf-8",
        )
        assert light.requests[0].body == body


@pytest.mark.parametrize(
    ("asked", "shape"),
    [
        ("generate_stream", b'{"error":"the'),
        ("chat", b'{"error":{"message":"'),
        ("completions", b'{"error":{"message":"'),
    ],
)
async def test_a_broken_stream_ends_in_an_error_of_its_protocol(asked: str, shape: bytes) -> None:
    target, body = ASKED[asked]
    async with replica(break_off) as light, running_gateway(light=[light.port]) as gate:
        answer = await gate.send(target=target, body=body)
        assert answer.body.startswith(b"data: {}\n\ndata: " + shape)
