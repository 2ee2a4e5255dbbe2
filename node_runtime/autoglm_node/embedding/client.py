"""An embedding model as the front asks it, one dialect per backend.

| backend | request | response |
|---|---|---|
| ONNXRuntime | all texts: input_ids [tokens], lengths [texts] | embedding [texts, dimensions] |
| TensorRT | one text, padded to its bucket: input_ids [1, bucket], attention_mask | embedding [1, dimensions] |
"""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from itertools import chain
from typing import Any

import numpy as np
from tritonclient.grpc import InferInput

from autoglm_api.spec import Backend, Bucket
from autoglm_node.embedding.encoder import Vectors
from autoglm_node.embedding.repository import MASK, edge_of
from autoglm_node.failure import EngineError
from autoglm_node.triton_client import TritonModel

Texts = Sequence[Sequence[int]]


class VectorClient(TritonModel):
    """A model that makes vectors."""

    def __init__(self, address: str, model: str, backend: Backend, buckets: Sequence[Bucket]) -> None:
        """Speak to the gRPC `address` (host:port) about `model`, in the words of its backend."""
        super().__init__(address, model)
        self._backend = backend
        self._buckets = buckets

    async def embed(self, texts: Texts) -> Vectors:
        """Return the vectors [texts, dimensions]; EngineError. Cancelling cancels the engine's work."""
        if self._backend is Backend.TENSORRT:
            # Triton batches these; texts of one bucket have one shape.
            parts = await asyncio.gather(*(self._one(_padded(ids, edge_of(len(ids), self._buckets))) for ids in texts))
            return np.concatenate(parts)
        return await self._one(_joined(texts))

    async def _one(self, inputs: list[InferInput]) -> Vectors:
        async with aclosing(self.responses(inputs)) as responses:
            async for arrays in responses:
                if "embedding" not in arrays:
                    raise EngineError("a response of Triton has no embedding")
                vectors: Vectors = np.asarray(arrays["embedding"], dtype=np.float32)
                return vectors
        raise EngineError("the stream from Triton ended without an answer")


def _joined(texts: Texts) -> list[InferInput]:
    ids = np.fromiter(chain.from_iterable(texts), dtype=np.int32)
    return [_tensor("input_ids", ids), _tensor("lengths", np.array([len(text) for text in texts], np.int32))]


def _padded(ids: Sequence[int], width: int) -> list[InferInput]:
    row, mask = np.zeros((1, width), np.int32), np.zeros((1, width), np.int32)
    row[0, : len(ids)], mask[0, : len(ids)] = ids, 1
    return [_tensor("input_ids", row), _tensor(MASK, mask)]


def _tensor(name: str, values: np.ndarray[Any, Any]) -> InferInput:
    tensor = InferInput(name, list(values.shape), "INT32")
    tensor.set_data_from_numpy(values)
    return tensor
