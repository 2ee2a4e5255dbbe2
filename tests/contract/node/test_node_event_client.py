"""How the front speaks to Triton about text, with a stand-in that says what it is told to."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import orjson
import pytest

from autoglm_node.event_client import EventClient
from autoglm_node.failure import EngineError
from autoglm_node.query import Finish, Generation, Piece
from autoglm_node.settings import TritonPorts
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import HttpServer
from support.node_process import free_ports

Answer = Callable[[Responder], Awaitable[None]]
ASKED = Generation((5,), max_tokens=9)
FIRST = b'data: {"token_ids":4,"logprobs":-1.0,"finish_reason":0}\n\n'
LAST = b'data: {"token_ids":[6,7],"logprobs":[-1.0,-2.0],"finish_reason":2}\n\n'
PIECES = [Piece((4,), (-1.0,), Finish.NONE), Piece((6, 7), (-1.0, -2.0), Finish.LENGTH)]


class StandIn:
    """Answers queries as told and notes what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[dict[str, Any]] = []
        self.cancelled: asyncio.Queue[int] = asyncio.Queue()
        self.peers: set[str] = set()

    async def handle(self, request: Request, responder: Responder) -> None:
        said = orjson.loads(request.body)
        if "cancels" in said:
            await self.cancelled.put(said["cancels"])
            await responder.send(200, [], b'data: {"token_ids":[],"logprobs":[],"finish_reason":1}\n\n')
            return
        self.asked.append({"path": request.path, **said})
        await self._answer(responder)


@asynccontextmanager
async def connected(answer: Answer) -> AsyncIterator[tuple[EventClient, StandIn]]:
    triton = StandIn(answer)
    server = HttpServer(triton.handle, Limits())
    port = await server.start("127.0.0.1", 0)
    client = EventClient(TritonPorts(port, 1, 1), "a model")
    try:
        yield client, triton
    finally:
        await client.close()
        await server.close()


def says(*chunks: bytes, status: int = 200) -> Answer:
    async def answer(responder: Responder) -> None:
        responder.start(status)
        for chunk in chunks:
            await responder.write(chunk)
            await asyncio.sleep(0)
        await responder.end()

    return answer


async def heard(client: EventClient) -> list[Piece]:
    return [piece async for piece in client.generate(ASKED)]


@pytest.mark.parametrize(
    "chunks",
    [(FIRST, LAST), (FIRST + LAST,), (FIRST[:9], FIRST[9:] + LAST[:-1], LAST[-1:])],
)
async def test_events_are_read_wherever_they_are_cut(chunks: tuple[bytes, ...]) -> None:
    async with connected(says(*chunks)) as (client, triton):
        assert await heard(client) == PIECES
        assert await heard(client) == PIECES
        assert client.responses_seen == 4
        assert triton.asked[0]["path"] == "/v2/models/a%20model/generate_stream"
        assert triton.asked[0]["query_number"] != triton.asked[1]["query_number"]
        assert triton.cancelled.empty()


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (says(FIRST), "ended before the reply did"),
        (says(FIRST, LAST[:-1]), "within an event"),
        (says(FIRST, b'data: {"error":"no slot"}\n\n'), "no slot"),
        (says(b'{"error":"unknown model"}', status=404), "unknown model"),
        (says(b"?", status=500), "status 500"),
        (says(b"data: ?\n\n"), "cannot be read"),
        (says(b'data: {"token_ids":4,"logprobs":-1.0}\n\n'), "cannot be read"),
        (says(b'data: {"token_ids":4,"logprobs":-1.0,"finish_reason":9}\n\n'), "cannot be read"),
    ],
)
async def test_what_goes_wrong_is_the_engine_s_failure_in_words(answer: Answer, told: str) -> None:
    async with connected(answer) as (client, _):
        with pytest.raises(EngineError, match=told):
            await heard(client)


async def test_nobody_there() -> None:
    client = EventClient(TritonPorts(*free_ports(3)), "m")
    with pytest.raises(EngineError, match="the stream to Triton broke: no connection"):
        await heard(client)
    await client.close()


async def silent(responder: Responder) -> None:
    responder.start(200)
    await responder.write(FIRST)
    await responder.disconnected.wait()


async def test_a_query_that_is_given_up_is_cancelled_by_its_number() -> None:
    async with connected(silent) as (client, triton):
        async with aclosing(client.generate(ASKED)) as pieces:
            assert await anext(pieces) == PIECES[0]
        assert await asyncio.wait_for(triton.cancelled.get(), 5) == triton.asked[0]["query_number"]


async def test_a_query_that_is_cut_off_while_it_waits_is_cancelled_too() -> None:
    async with connected(lambda responder: responder.disconnected.wait()) as (client, triton):  # type: ignore[arg-type,return-value]
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(heard(client), 0.1)
        assert await asyncio.wait_for(triton.cancelled.get(), 5) == triton.asked[0]["query_number"]
