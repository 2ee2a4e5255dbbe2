"""The HTTP front of a model that writes text: OpenAI's chat and completions, and the Open Inference Protocol."""

import time
import uuid
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any, Final

from autoglm_api import names
from autoglm_node import inference_protocol as oip
from autoglm_node import openai
from autoglm_node.failure import RefusalError
from autoglm_node.front import (
    EVENTS,
    JSON,
    Front,
    ModelRoutes,
    Pairs,
    Probe,
    Routes,
    deadline_of_request,
    refuse_compressed,
)
from autoglm_node.metrics import Metrics
from autoglm_node.openai_answers import DONE, Answer, ChatAnswer, Choice, Frame, TextAnswer
from autoglm_node.service import Reply, Service, usage_of
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder


class TextFront(Front):
    """Handles the requests of one node whose model writes text."""

    def __init__(self, service: Service, metrics: Metrics, ready: Probe) -> None:
        """`ready` answers the protocol's own readiness paths."""
        super().__init__(service.spec, metrics, ready, ModelRoutes(_FIXED, _OF_MODEL))
        self._service = service

    def description(self, model: str) -> dict[str, Any]:
        """Return what the model takes and gives."""
        return oip.model_description(model, self.platform)

    # --- OpenAI ----------------------------------------------------------------------------------------
    async def chat(self, request: Request, responder: Responder, _model: str) -> None:
        """POST /v1/chat/completions."""
        await self.counted(self._chat(request, responder))

    async def _chat(self, request: Request, responder: Responder) -> None:
        asked = openai.parse(request.body)
        await self._openai(asked, ChatAnswer(self._frame("chatcmpl", asked)), request, responder)

    async def completions(self, request: Request, responder: Responder, _model: str) -> None:
        """POST /v1/completions."""
        await self.counted(self._completions(request, responder))

    async def _completions(self, request: Request, responder: Responder) -> None:
        asked = openai.parse_completion(request.body)
        await self._openai(asked, TextAnswer(self._frame("cmpl", asked)), request, responder)

    def _frame(self, kind: str, asked: openai.GenerationRequest) -> Frame:
        revision = self.spec.revision
        return Frame(f"{kind}-{uuid.uuid4().hex}", int(time.time()), asked.model, revision, asked.include_usage)

    async def _openai(
        self, asked: openai.GenerationRequest, answer: Answer, request: Request, responder: Responder
    ) -> None:
        self.check_model(asked.model)
        query = asked.query()
        async with self._service.answer(query, deadline_of_request(request)) as replies:
            if asked.stream:
                await self._stream(replies, answer, responder, scored=query.top_logprobs is not None)
                if asked.include_usage:
                    await responder.write(answer.usage(usage_of(replies)))
                await responder.write(DONE)
                await responder.end()
                return
            choices = [await _choice(reply, scored=query.top_logprobs is not None) for reply in replies]
        await responder.send(200, self._reply_headers(replies), answer.whole(choices, usage_of(replies)))

    async def _stream(self, replies: Sequence[Reply], answer: Answer, responder: Responder, *, scored: bool) -> None:
        for index, reply in enumerate(replies):
            opened = False
            async with aclosing(reply.texts()) as texts:
                async for text in texts:
                    if not responder.started:
                        responder.start(200, [*EVENTS, self.revision, _prompt_header(reply)])
                    if not opened and (opening := answer.opening(index)):
                        await responder.write(opening)
                    opened = True
                    scores = reply.take_scores()
                    if text or scores:
                        await responder.write(answer.piece(index, text, scores if scored else None))
            await responder.write(answer.closing(index, reply.tally.finish))

    async def embeddings(self, _request: Request, _responder: Responder, _model: str) -> None:
        """POST /v1/embeddings."""
        message = f"model {self.spec.model_name!r} writes text; ask an Embedding model for vectors"
        raise RefusalError(400, message, code="unsupported_model", param="model")

    # --- Open Inference Protocol -----------------------------------------------------------------------
    async def infer(self, request: Request, responder: Responder, model: str) -> None:
        """POST /v2/models/MODEL/infer."""
        await self.counted(self._infer(request, responder, model))

    async def _infer(self, request: Request, responder: Responder, model: str) -> None:
        self.check_model(model)
        refuse_compressed(request)
        call = oip.parse_infer(request.body, request.headers.get(oip.BINARY_HEADER))
        async with self._service.answer(call.query, deadline_of_request(request)) as replies:
            text = "".join([piece async for piece in replies[0].texts()])
        headers, body = oip.infer_answer(call, model, text)
        await responder.send(200, [*headers, *self._reply_headers(replies)[1:]], body)

    async def generate(self, request: Request, responder: Responder, model: str) -> None:
        """POST /v2/models/MODEL/generate."""
        await self.counted(self._generate(request, responder, model))

    async def _generate(self, request: Request, responder: Responder, model: str) -> None:
        self.check_model(model)
        async with self._service.answer(oip.parse_generate(request.body), deadline_of_request(request)) as replies:
            text = "".join([piece async for piece in replies[0].texts()])
        await responder.send(200, self._reply_headers(replies), oip.generate_answer(model, text))

    async def generate_stream(self, request: Request, responder: Responder, model: str) -> None:
        """POST /v2/models/MODEL/generate_stream: one event per piece of text."""
        await self.counted(self._generate_stream(request, responder, model))

    async def _generate_stream(self, request: Request, responder: Responder, model: str) -> None:
        self.check_model(model)
        query = oip.parse_generate(request.body)
        async with (
            self._service.answer(query, deadline_of_request(request)) as (reply,),
            aclosing(reply.texts()) as texts,
        ):
            async for text in texts:
                if not responder.started:
                    responder.start(200, [*EVENTS, self.revision, _prompt_header(reply)])
                if text:
                    await responder.write(b"data: " + oip.generate_answer(model, text) + b"\n\n")
        await responder.end()

    # --- common ----------------------------------------------------------------------------------------
    def _reply_headers(self, replies: Sequence[Reply]) -> Pairs:
        least = min(reply.tally.confidence for reply in replies)
        return [JSON, self.revision, _prompt_header(replies[0]), (names.HEADER_CONFIDENCE, f"{least:.4f}")]


async def _choice(reply: Reply, *, scored: bool) -> Choice:
    text = "".join([piece async for piece in reply.texts()])
    return Choice(text, reply.tally.finish, reply.take_scores() if scored else None)


def _prompt_header(reply: Reply) -> tuple[str, str]:
    return names.HEADER_PROMPT_TOKENS, str(reply.prompt_tokens)


_FIXED: Final[Routes] = {
    names.PATH_CHAT: ("POST", TextFront.chat),
    names.PATH_COMPLETIONS: ("POST", TextFront.completions),
    names.PATH_EMBEDDINGS: ("POST", TextFront.embeddings),
}
_OF_MODEL: Final[Routes] = {
    "/infer": ("POST", TextFront.infer),
    "/generate": ("POST", TextFront.generate),
    "/generate_stream": ("POST", TextFront.generate_stream),
}
