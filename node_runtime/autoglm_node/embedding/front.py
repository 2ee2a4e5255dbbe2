"""The HTTP front of an embedding model: OpenAI's embeddings and the Open Inference Protocol."""

from typing import Any, Final, NoReturn

from autoglm_api import names
from autoglm_node import inference_protocol
from autoglm_node.embedding import inference_protocol as oip
from autoglm_node.embedding import openai
from autoglm_node.embedding.query import Embedded
from autoglm_node.embedding.service import VectorService
from autoglm_node.failure import RefusalError
from autoglm_node.front import JSON, Front, ModelRoutes, Pairs, Probe, Routes, deadline_of_request, refuse_compressed
from autoglm_node.metrics import Metrics
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder


class VectorFront(Front):
    """Handles the requests of one node whose model makes vectors."""

    def __init__(self, service: VectorService, metrics: Metrics, ready: Probe) -> None:
        """`ready` answers the protocol's own readiness paths."""
        super().__init__(service.spec, metrics, ready, ModelRoutes(_FIXED, _OF_MODEL))
        self._service = service

    def description(self, model: str) -> dict[str, Any]:
        """Return what the model takes and gives."""
        return oip.model_description(model, self.platform, self._service.words.format.dimensions)

    async def embeddings(self, request: Request, responder: Responder, _model: str) -> None:
        """POST /v1/embeddings."""
        await self.counted(self._embeddings(request, responder))

    async def _embeddings(self, request: Request, responder: Responder) -> None:
        asked = openai.parse(request.body)
        self.check_model(asked.model)
        embedded = await self._service.embed(asked.query(), deadline_of_request(request))
        await responder.send(200, [JSON, *self._told(embedded)], openai.answer(asked, embedded))

    async def infer(self, request: Request, responder: Responder, model: str) -> None:
        """POST /v2/models/MODEL/infer."""
        await self.counted(self._infer(request, responder, model))

    async def _infer(self, request: Request, responder: Responder, model: str) -> None:
        self.check_model(model)
        refuse_compressed(request)
        asked, raw = inference_protocol.parted(request.body, request.headers.get(inference_protocol.BINARY_HEADER))
        binary = asked.wants_binary(oip.VECTOR_OUTPUT)
        embedded = await self._service.embed(oip.query_of(asked.inputs, raw), deadline_of_request(request))
        headers, body = oip.infer_answer(asked.id, model, embedded.vectors, binary=binary)
        await responder.send(200, [*headers, *self._told(embedded)], body)

    async def no_text(self, _request: Request, _responder: Responder, _model: str) -> NoReturn:
        """What a model that writes text would answer."""
        message = f"model {self.spec.model_name!r} makes vectors; ask it at {names.PATH_EMBEDDINGS}"
        raise RefusalError(400, message, code="unsupported_model", param="model")

    def _told(self, embedded: Embedded) -> Pairs:
        return [self.revision, (names.HEADER_PROMPT_TOKENS, str(embedded.prompt_tokens))]


_FIXED: Final[Routes] = {
    names.PATH_EMBEDDINGS: ("POST", VectorFront.embeddings),
    names.PATH_CHAT: ("POST", VectorFront.no_text),
    names.PATH_COMPLETIONS: ("POST", VectorFront.no_text),
}
_OF_MODEL: Final[Routes] = {
    "/infer": ("POST", VectorFront.infer),
    "/generate": ("POST", VectorFront.no_text),
    "/generate_stream": ("POST", VectorFront.no_text),
}
