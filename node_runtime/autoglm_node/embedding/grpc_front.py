"""The Open Inference Protocol over gRPC of an embedding model."""

from collections.abc import AsyncGenerator
from typing import Any

from autoglm_api import names
from autoglm_node.embedding import inference_protocol as oip
from autoglm_node.embedding.query import Embedded
from autoglm_node.embedding.service import VectorService
from autoglm_node.front import Probe
from autoglm_node.grpc_front import (
    Context,
    Servicer,
    deadline_of_call,
    refuse_other_outputs,
    response_to,
    tensors_of,
)
from autoglm_node.metrics import Metrics


class VectorServicer(Servicer):
    """The calls of a model that makes vectors."""

    def __init__(self, service: VectorService, metrics: Metrics, ready: Probe) -> None:
        """`ready` answers the protocol's own readiness calls."""
        super().__init__(service.spec, metrics, ready)
        self._service = service

    def description(self, model: str, platform: str) -> dict[str, Any]:
        """Return what the model takes and gives."""
        return oip.model_description(model, platform, self._service.words.format.dimensions)

    async def answered(self, request: Any, context: Context) -> Any:
        """Return the vectors."""
        embedded = await self._embedded(request, context)
        context.set_trailing_metadata(
            ((names.HEADER_REVISION, self.spec.revision), (names.HEADER_PROMPT_TOKENS, str(embedded.prompt_tokens)))
        )
        return _filled(response_to(request), embedded)

    async def responses(self, request: Any, context: Context) -> AsyncGenerator[Any, None]:
        """Yield the vectors as the only response."""
        yield _filled(response_to(request, last=True), await self._embedded(request, context))

    async def _embedded(self, request: Any, context: Context) -> Embedded:
        refuse_other_outputs(request, oip.VECTOR_OUTPUT)
        query = oip.query_of(tensors_of(request), b"".join(request.raw_input_contents))
        return await self._service.embed(query, deadline_of_call(request, context))


def _filled(response: Any, embedded: Embedded) -> Any:
    response.outputs.add(name=oip.VECTOR_OUTPUT, datatype="FP32", shape=embedded.vectors.shape)
    response.raw_output_contents.append(oip.vector_bytes(embedded.vectors))
    return response
