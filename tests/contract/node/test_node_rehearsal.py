"""The queries that a worker asks itself go over a real socket, and a bad answer is not taken for a good one."""

import asyncio

import pytest

from autoglm_node.failure import EngineError
from autoglm_node.rehearsal import rehearse
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder

QUERIES = [("/a", b"1"), ("/b", b"22")]


async def test_every_query_is_asked_in_turn_and_streams_are_read_to_their_end() -> None:
    seen: list[tuple[str, bytes]] = []
    ended: list[str] = []

    async def handle(request: Request, responder: Responder) -> None:
        seen.append((request.path, request.body))
        responder.start(200, [("content-type", "text/event-stream")])
        await responder.write(b"data: 1\n\n")
        await asyncio.sleep(0.05)
        await responder.end()
        ended.append(request.path)

    await rehearse(handle, QUERIES, 1024)
    assert seen == QUERIES
    assert ended == ["/a", "/b"]


async def test_an_error_says_which_query_and_what_was_answered() -> None:
    async def handle(request: Request, responder: Responder) -> None:
        await responder.send(200 if request.path == "/a" else 503, [], b"the engine failed")

    with pytest.raises(EngineError, match=r"a query to /b was answered with 503: b'the engine failed'"):
        await rehearse(handle, QUERIES, 1024)


async def test_an_answer_that_breaks_off_is_no_answer() -> None:
    async def handle(request: Request, responder: Responder) -> None:
        responder.start(200, [("content-type", "text/event-stream")])
        await responder.write(b"data: 1\n\n")
        raise ConnectionResetError

    with pytest.raises(EngineError, match="a query to /a was not answered"):
        await rehearse(handle, QUERIES, 1024)


async def test_a_query_that_is_never_answered_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoglm_node.rehearsal.QUERY_SECONDS", 0.1)

    async def handle(_request: Request, _responder: Responder) -> None:
        await asyncio.Event().wait()

    with pytest.raises(EngineError, match="a query to /a was not answered"):
        await rehearse(handle, QUERIES, 1024)
