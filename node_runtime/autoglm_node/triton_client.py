"""Triton as the front speaks to it by gRPC on loopback: models are loaded and unloaded, GPU engines are asked.

The CPU engine is asked for text in another way, see event_client.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Final

import grpc
from tritonclient.grpc import InferInput, InferResult
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from autoglm_node import tensors
from autoglm_node.failure import EngineError
from autoglm_node.query import Finish, Generation, Piece

_POLL_SECONDS: Final = 0.05


class TritonModel:
    """One model of a Triton server; every method raises EngineError with Triton's own words."""

    def __init__(self, address: str, model: str) -> None:
        """Speak to the gRPC `address` (host:port) about `model`."""
        self._client = InferenceServerClient(address)
        self._model = model
        self.responses_seen = 0  # of all queries; that it grows shows that the engine lives

    async def wait_live(self, seconds: float) -> None:
        """Return when the server answers; EngineError when it does not within the time."""
        try:
            async with asyncio.timeout(seconds):
                while not await self._is_live():  # noqa: ASYNC110 - another process gives no event to wait for
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            raise EngineError(f"Triton did not answer within {seconds:g} s") from None

    async def load(self, seconds: float) -> None:
        """Load the model; returns when it is ready."""
        await _told(self._client.load_model(self._model, client_timeout=seconds))
        if not await _told(self._client.is_model_ready(self._model, client_timeout=seconds)):
            raise EngineError(f"Triton loaded {self._model} but does not call it ready")

    async def unload(self, seconds: float) -> None:
        """Unload the model. Triton answers at once and unloads afterwards."""
        await _told(self._client.unload_model(self._model, client_timeout=seconds))

    async def responses(self, inputs: list[InferInput]) -> AsyncGenerator[tensors.Arrays, None]:
        """Yield the output tensors of every response to one request. Closing the iterator cancels the engine."""
        stream = self._client.stream_infer(self._requests(inputs))
        try:
            async for result, error in stream:
                if error is not None:
                    raise error
                self.responses_seen += 1
                yield _arrays(result)
        except InferenceServerException as error:
            raise EngineError(error.message()) from None
        except grpc.aio.AioRpcError as error:
            raise EngineError(error.details() or "the stream to Triton broke") from None
        except ValueError as error:
            raise unreadable(error) from error
        finally:
            stream.cancel()

    async def close(self) -> None:
        """Close the connection."""
        await self._client.close()

    async def _is_live(self) -> bool:
        try:
            return bool(await self._client.is_server_live())
        except InferenceServerException:
            return False

    async def _requests(self, inputs: list[InferInput]) -> AsyncIterator[dict[str, Any]]:
        yield {"model_name": self._model, "inputs": inputs}


class TextModel(TritonModel, ABC):
    """A model that writes text, whatever its backend."""

    @abstractmethod
    def generate(self, generation: Generation) -> AsyncGenerator[Piece, None]:
        """Yield the pieces of a reply; the last one says why it ended. Closing the iterator cancels the engine."""

    async def first_token(self, generation: Generation) -> None:
        """Let the engine answer; of use with a generation of one token."""
        async with aclosing(self.generate(generation)) as pieces:
            async for _ in pieces:
                pass


class TensorRTClient(TextModel):
    """A model of the TensorRT-LLM backend, asked by one gRPC stream per query."""

    def __init__(self, address: str, model: str, stop_ids: Sequence[int]) -> None:
        """Speak to the gRPC `address` (host:port) about `model`; `stop_ids` are the tokens that end a reply."""
        super().__init__(address, model)
        self._end_id = stop_ids[0]
        self._ends = frozenset(stop_ids)

    async def generate(self, generation: Generation) -> AsyncGenerator[Piece, None]:
        """Yield the pieces of a reply; the last one says why it ended. Closing the iterator cancels the engine."""
        produced = 0
        async with aclosing(self.responses(tensors.write(generation, self._end_id))) as responses:
            async for arrays in responses:
                piece = self._read(arrays)
                produced += len(piece.token_ids)
                yield piece
                if piece.finish:
                    return
        # The backend just ends the stream.
        yield Piece((), (), Finish.LENGTH if produced >= generation.max_tokens else Finish.STOP)

    def _read(self, arrays: tensors.Arrays) -> Piece:
        try:
            return tensors.read(arrays, self._ends)
        except (KeyError, ValueError) as error:
            raise unreadable(error) from error


def unreadable(error: Exception) -> EngineError:
    """Return what is said of a response that is not as it should be."""
    return EngineError(f"a response of Triton cannot be read: {error}")


def _arrays(result: InferResult) -> dict[str, Any]:
    return {output.name: result.as_numpy(output.name) for output in result.get_response().outputs}


async def _told(call: Any) -> Any:
    """Await a call of the client, its errors translated."""
    try:
        return await call
    except InferenceServerException as error:
        raise EngineError(error.message()) from None
