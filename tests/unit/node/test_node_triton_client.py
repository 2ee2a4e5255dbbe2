"""How a stream of Triton is read, with the stream itself scripted."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from autoglm_node import tensors
from autoglm_node.query import Finish, Generation, Piece
from autoglm_node.triton_client import TensorRTClient


class OneToken:
    """A stream that ends after one token."""

    def __init__(self) -> None:
        self.cancelled = False

    async def __aiter__(self) -> AsyncIterator[tuple[Any, None]]:
        yield None, None

    def cancel(self) -> None:
        self.cancelled = True


@pytest.mark.parametrize(("max_tokens", "why"), [(1, Finish.LENGTH), (9, Finish.STOP)])
async def test_tensorrt_llm_s_stream_just_ends(monkeypatch: pytest.MonkeyPatch, max_tokens: int, why: Finish) -> None:
    client, stream = TensorRTClient("127.0.0.1:1", "m", [0]), OneToken()
    monkeypatch.setattr(client._client, "stream_infer", lambda _: stream)
    monkeypatch.setattr("autoglm_node.triton_client._arrays", lambda _: {})
    monkeypatch.setattr(tensors, "read", lambda *_: Piece((4,), (-1.0,), Finish.NONE))
    try:
        pieces = [piece async for piece in client.generate(Generation((5,), max_tokens))]
    finally:
        await client.close()
    assert [piece.finish for piece in pieces] == [Finish.NONE, why]
    assert stream.cancelled
