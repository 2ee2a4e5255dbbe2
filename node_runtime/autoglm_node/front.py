"""The HTTP front on the worker's port: paths to handlers, refusals to the error shape of the path's protocol."""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import Final
from urllib.parse import unquote

from autoglm_api import names
from autoglm_api.config import EngineSpec
from autoglm_node import __version__, openai
from autoglm_node import inference_protocol as oip
from autoglm_node.accounting import counted
from autoglm_node.failure import RefusalError
from autoglm_node.metrics import Metrics
from autoglm_node.openai_answers import DONE, Answer, ChatAnswer, Choice, Frame, TextAnswer
from autoglm_node.openai_answers import models as listing
from autoglm_node.service import Reply, Service, usage_of
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder

log = logging.getLogger(__name__)

Probe = Callable[[], tuple[bool, str]]
Route = Callable[["Front", Request, Responder, str], Awaitable[None]]
Pairs = list[tuple[str, str]]

_JSON: Final = ("content-type", "application/json")
_EVENTS: Final = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))
_LEAST_BODY_BYTES: Final = 4 << 20
_BODY_BYTES_PER_TOKEN: Final = 256  # a long word in JSON, every character of it escaped
_MODEL_PATH: Final = re.compile(r"/v2/models/(?P<model>[^/]+)(?:/versions/[^/]+)?(?P<rest>/[a-z_]+)?")


def refusal_body(refusal: RefusalError, path: str) -> bytes:
    """Return an error in the shape that clients of this path read."""
    return oip.error_body(refusal) if path.startswith("/v2") else openai.error_body(refusal)


def body_limit(spec: EngineSpec) -> int:
    """Return the largest body to read, in bytes: what the model's longest sequence can take up, 4 MiB at least.

    What clients may send is the gateway's to decide; this only bounds the memory of a body that cannot be answered.
    """
    return max(_LEAST_BODY_BYTES, spec.max_sequence_tokens * _BODY_BYTES_PER_TOKEN)


def transport_refusal(status: int, message: str, path: str) -> bytes:
    """Return the body for what the HTTP server itself refuses."""
    return refusal_body(RefusalError(status, message, code="bad_request"), path)


class Front:
    """Handles the requests of one node."""

    def __init__(self, service: Service, metrics: Metrics, ready: Probe, started_at: int) -> None:
        """`ready` answers the protocol's own readiness paths; `started_at` is Unix time in seconds."""
        self._service = service
        self._metrics = metrics
        self._ready = ready
        self._started_at = started_at
        self._revision = (names.HEADER_REVISION, service.spec.revision)

    async def handle(self, request: Request, responder: Responder) -> None:
        """Answer one request; whatever is wrong with it, the client gets a sentence."""
        try:
            route, model = _routed(request)
            await route(self, request, responder, model)
        except RefusalError as refusal:
            await self._refuse(refusal, request, responder)

    async def _refuse(self, refusal: RefusalError, request: Request, responder: Responder) -> None:
        if responder.started:
            # Status and a part of the answer are out: the stream says what happened, and never ends as if complete.
            await responder.write(b"data: " + refusal_body(refusal, request.path) + b"\n\n")
            await responder.end()
            return
        headers = [_JSON, self._revision, *refusal.headers]
        await responder.send(refusal.status, headers, refusal_body(refusal, request.path))

    async def _counted(self, work: Awaitable[None]) -> None:
        with counted(self._metrics):
            await work

    # --- OpenAI ----------------------------------------------------------------------------------------
    async def chat(self, request: Request, responder: Responder, _model: str) -> None:
        """POST /v1/chat/completions."""
        await self._counted(self._chat(request, responder))

    async def _chat(self, request: Request, responder: Responder) -> None:
        asked = openai.parse(request.body)
        await self._openai(asked, ChatAnswer(self._frame("chatcmpl", asked)), request, responder)

    async def completions(self, request: Request, responder: Responder, _model: str) -> None:
        """POST /v1/completions."""
        await self._counted(self._completions(request, responder))

    async def _completions(self, request: Request, responder: Responder) -> None:
        asked = openai.parse_completion(request.body)
        await self._openai(asked, TextAnswer(self._frame("cmpl", asked)), request, responder)

    def _frame(self, kind: str, asked: openai.GenerationRequest) -> Frame:
        revision = self._service.spec.revision
        return Frame(f"{kind}-{uuid.uuid4().hex}", int(time.time()), asked.model, revision, asked.include_usage)

    async def _openai(
        self, asked: openai.GenerationRequest, answer: Answer, request: Request, responder: Responder
    ) -> None:
        self._check_model(asked.model)
        query = asked.query()
        async with self._service.answer(query, _deadline(request)) as replies:
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
                        responder.start(200, [*_EVENTS, self._revision, _prompt_header(reply)])
                    if not opened and (opening := answer.opening(index)):
                        await responder.write(opening)
                    opened = True
                    scores = reply.take_scores()
                    if text or scores:
                        await responder.write(answer.piece(index, text, scores if scored else None))
            await responder.write(answer.closing(index, reply.tally.finish))

    async def embeddings(self, _request: Request, _responder: Responder, _model: str) -> None:
        """POST /v1/embeddings."""
        message = f"model {self._service.spec.model_name!r} writes text; this version serves no embedding models"
        raise RefusalError(400, message, code="unsupported_model", param="model")

    async def models(self, _request: Request, responder: Responder, _model: str) -> None:
        """GET /v1/models."""
        listed = dict.fromkeys((self._service.spec.model_name, self._service.spec.deployment))
        await responder.send(200, [_JSON, self._revision], listing(tuple(listed), self._started_at))

    # --- Open Inference Protocol -----------------------------------------------------------------------
    async def infer(self, request: Request, responder: Responder, model: str) -> None:
        """POST /v2/models/MODEL/infer."""
        await self._counted(self._infer(request, responder, model))

    async def _infer(self, request: Request, responder: Responder, model: str) -> None:
        self._check_model(model)
        if request.headers.get("content-encoding") not in (None, "identity"):
            raise RefusalError(415, "compressed bodies are not supported", code="unsupported_encoding")
        call = oip.parse_infer(request.body, request.headers.get(oip.BINARY_HEADER))
        async with self._service.answer(call.query, _deadline(request)) as replies:
            text = "".join([piece async for piece in replies[0].texts()])
        headers, body = oip.infer_answer(call, model, text)
        await responder.send(200, [*headers, *self._reply_headers(replies)[1:]], body)

    async def generate(self, request: Request, responder: Responder, model: str) -> None:
        """POST /v2/models/MODEL/generate."""
        await self._counted(self._generate(request, responder, model))

    async def _generate(self, request: Request, responder: Responder, model: str) -> None:
        self._check_model(model)
        async with self._service.answer(oip.parse_generate(request.body), _deadline(request)) as replies:
            text = "".join([piece async for piece in replies[0].texts()])
        await responder.send(200, self._reply_headers(replies), oip.generate_answer(model, text))

    async def generate_stream(self, request: Request, responder: Responder, model: str) -> None:
        """POST /v2/models/MODEL/generate_stream: one event per piece of text."""
        await self._counted(self._generate_stream(request, responder, model))

    async def _generate_stream(self, request: Request, responder: Responder, model: str) -> None:
        self._check_model(model)
        query = oip.parse_generate(request.body)
        async with (
            self._service.answer(query, _deadline(request)) as (reply,),
            aclosing(reply.texts()) as texts,
        ):
            async for text in texts:
                if not responder.started:
                    responder.start(200, [*_EVENTS, self._revision, _prompt_header(reply)])
                if text:
                    await responder.write(b"data: " + oip.generate_answer(model, text) + b"\n\n")
        await responder.end()

    async def live(self, _request: Request, responder: Responder, _model: str) -> None:
        """GET /v2/health/live."""
        await responder.send(200)

    async def ready(self, _request: Request, responder: Responder, model: str) -> None:
        """GET /v2/health/ready and /v2/models/MODEL/ready."""
        if model:
            self._check_model(model)
        ready, why = self._ready()
        if not ready:
            raise RefusalError(503, why, code="not_ready")
        await responder.send(200)

    async def server_metadata(self, _request: Request, responder: Responder, _model: str) -> None:
        """GET /v2."""
        await responder.send(200, [_JSON], oip.server_metadata(__version__))

    async def model_metadata(self, _request: Request, responder: Responder, model: str) -> None:
        """GET /v2/models/MODEL."""
        self._check_model(model)
        platform = f"{names.PART_OF}_{self._service.spec.backend.lower()}"
        await responder.send(200, [_JSON, self._revision], oip.model_metadata(model, platform))

    # --- common ----------------------------------------------------------------------------------------
    def _check_model(self, model: str) -> None:
        if refusal := self._service.unknown(model):
            raise refusal

    def _reply_headers(self, replies: Sequence[Reply]) -> Pairs:
        least = min(reply.tally.confidence for reply in replies)
        return [_JSON, self._revision, _prompt_header(replies[0]), (names.HEADER_CONFIDENCE, f"{least:.4f}")]


async def _choice(reply: Reply, *, scored: bool) -> Choice:
    text = "".join([piece async for piece in reply.texts()])
    return Choice(text, reply.tally.finish, reply.take_scores() if scored else None)


def _prompt_header(reply: Reply) -> tuple[str, str]:
    return names.HEADER_PROMPT_TOKENS, str(reply.prompt_tokens)


def _deadline(request: Request) -> float | None:
    return deadline_of(request.headers.get(names.HEADER_DEADLINE))


def deadline_of(given: str | None) -> float | None:
    """Return the seconds that the deadline header's value leaves; None when there is no such header.

    Raises:
        RefusalError: 400, when it is no number of milliseconds.
    """
    if given is None:
        return None
    try:
        return max(0, int(given)) / 1000
    except (ValueError, OverflowError):
        message = f"{names.HEADER_DEADLINE}: {given[:20]!r} is no number of milliseconds"
        raise RefusalError(400, message, code="invalid_value") from None


_FIXED: Final[dict[str, tuple[str, Route]]] = {
    names.PATH_CHAT: ("POST", Front.chat),
    names.PATH_COMPLETIONS: ("POST", Front.completions),
    names.PATH_EMBEDDINGS: ("POST", Front.embeddings),
    names.PATH_MODELS: ("GET", Front.models),
    "/v2": ("GET", Front.server_metadata),
    "/v2/health/live": ("GET", Front.live),
    "/v2/health/ready": ("GET", Front.ready),
}
_OF_MODEL: Final[dict[str, tuple[str, Route]]] = {
    "": ("GET", Front.model_metadata),
    "/ready": ("GET", Front.ready),
    "/infer": ("POST", Front.infer),
    "/generate": ("POST", Front.generate),
    "/generate_stream": ("POST", Front.generate_stream),
}


def _routed(request: Request) -> tuple[Route, str]:
    path = request.path.rstrip("/")
    found, model = _FIXED.get(path), ""
    if found is None and (match := _MODEL_PATH.fullmatch(path)):
        found, model = _OF_MODEL.get(match["rest"] or ""), unquote(match["model"])
    if found is None:
        raise RefusalError(404, f"there is nothing at {request.path}", code="not_found")
    method, route = found
    if request.method != method:
        message = f"{request.path} takes {method}, not {request.method}"
        raise RefusalError(405, message, code="method_not_allowed", headers=(("allow", method),))
    return route, model
