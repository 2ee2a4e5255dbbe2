"""How a stream of Triton is read, with the stream itself scripted."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from autoglm_api.spec import Backend
from autoglm_node.failure import EngineError
from autoglm_node.query import Finish, Generation, Piece
from autoglm_node.tensors import dialect_for
from autoglm_node.triton_client import TritonClient


class OneToken:
    """A stream that ends after one token."""

    def __init__(self) -> None:
        self.cancelled = False

    async def __aiter__(self) -> AsyncIterator[tuple[Any, None]]:
        yield None, None

    def cancel(self) -> None:
        self.cancelled = True


async def replies(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> list[Piece]:
    dialect = dialect_for(backend, [0])._replace(read=lambda _: Piece((4,), (-1.0,), Finish.NONE))
    client = TritonClient("127.0.0.1:1", "m", dialect)
    stream = OneToken()
    monkeypatch.setattr(client._client, "stream_infer", lambda _: stream)
    monkeypatch.setattr("autoglm_node.triton_client._arrays", lambda _: {})
    try:
        return [piece async for piece in client.generate(Generation((5,), max_tokens=9))]
    finally:
        await client.close()
        assert stream.cancelled


async def test_the_cpu_engine_s_stream_must_say_why_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="before the reply"):
        await replies(Backend.ONNX_RUNTIME, monkeypatch)


async def test_tensorrt_llm_s_stream_just_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [piece.finish for piece in await replies(Backend.TENSORRT_LLM, monkeypatch)] == [Finish.NONE, Finish.STOP]
