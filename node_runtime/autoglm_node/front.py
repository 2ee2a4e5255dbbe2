"""The HTTP front on the worker's port: paths to handlers, refusals to the error shape of the path's protocol.

What every kind of model has in common; see text_front and embedding.front for the rest.
"""

import logging
import re
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import orjson

from autoglm_api import names
from autoglm_api.config import EngineSpec
from autoglm_node import __version__, model_control, openai, statistics
from autoglm_node import inference_protocol as oip
from autoglm_node.accounting import counted
from autoglm_node.failure import RefusalError
from autoglm_node.metrics import Metrics
from autoglm_node.openai_answers import models as listing
from autoglm_node.service import check_model
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder

log = logging.getLogger(__name__)

Probe = Callable[[], tuple[bool, str]]
Route = Callable[[Any, Request, Responder, str], Awaitable[None]]  # of a front and the model in the path
Routes = Mapping[str, tuple[str, Route]]
"""Path to method and handler."""


class ModelRoutes(NamedTuple):
    """What one kind of model answers beside what all do."""

    fixed: Routes
    of_model: Routes
    """What follows /v2/models/MODEL; with `repository` before it, what follows /v2/repository/models/MODEL."""


Pairs = list[tuple[str, str]]

JSON: Final = ("content-type", "application/json")
EVENTS: Final = (("content-type", "text/event-stream"), ("cache-control", "no-cache"))
_LEAST_BODY_BYTES: Final = 4 << 20
_BODY_BYTES_PER_TOKEN: Final = 256  # a long word in JSON, every character of it escaped
_MODEL_PATH: Final = re.compile(
    r"/v2/(?:(?P<repository>repository)/)?models/(?P<model>[^/]+)(?:/versions/[^/]+)?(?P<rest>/[a-z_]+)?"
)


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


class Front(ABC):
    """Handles the requests of one node."""

    def __init__(self, spec: EngineSpec, metrics: Metrics, ready: Probe, routes: ModelRoutes) -> None:
        """`ready` answers the protocol's own readiness paths; `routes` are those of this kind of model."""
        self.spec = spec
        self.revision = (names.HEADER_REVISION, spec.revision)
        self.platform = f"{names.PART_OF}_{spec.backend.lower()}"
        self._metrics = metrics
        self._ready = ready
        self._fixed, self._of_model = {**_FIXED, **routes.fixed}, {**_OF_MODEL, **routes.of_model}
        self._started_at = int(time.time())

    @abstractmethod
    def description(self, model: str) -> dict[str, Any]:
        """Return what the model takes and gives."""

    async def handle(self, request: Request, responder: Responder) -> None:
        """Answer one request; whatever is wrong with it, the client gets a sentence."""
        try:
            route, model = self._routed(request)
            await route(self, request, responder, model)
        except RefusalError as refusal:
            await self._refuse(refusal, request, responder)

    def _routed(self, request: Request) -> tuple[Route, str]:
        path = request.path.rstrip("/")
        found, model = self._fixed.get(path), ""
        if found is None and (match := _MODEL_PATH.fullmatch(path)):
            rest = (match["repository"] or "") + (match["rest"] or "")
            found, model = self._of_model.get(rest), unquote(match["model"])
        if found is None:
            raise RefusalError(404, f"there is nothing at {request.path}", code="not_found")
        method, route = found
        if request.method != method:
            message = f"{request.path} takes {method}, not {request.method}"
            raise RefusalError(405, message, code="method_not_allowed", headers=(("allow", method),))
        return route, model

    async def _refuse(self, refusal: RefusalError, request: Request, responder: Responder) -> None:
        if responder.started:
            # Status and a part of the answer are out: the stream says what happened, and never ends as if complete.
            await responder.write(b"data: " + refusal_body(refusal, request.path) + b"\n\n")
            await responder.end()
            return
        headers = [JSON, self.revision, *refusal.headers]
        await responder.send(refusal.status, headers, refusal_body(refusal, request.path))

    async def counted(self, work: Awaitable[None]) -> None:
        """Do a query's work and count how it ended."""
        with counted(self._metrics):
            await work

    def check_model(self, model: str) -> None:
        """Refuse a query for another model than ours."""
        check_model(self.spec, model)

    async def models(self, _request: Request, responder: Responder, _model: str) -> None:
        """GET /v1/models."""
        listed = dict.fromkeys((self.spec.model_name, self.spec.deployment))
        await responder.send(200, [JSON, self.revision], listing(tuple(listed), self._started_at))

    async def live(self, _request: Request, responder: Responder, _model: str) -> None:
        """GET /v2/health/live."""
        await responder.send(200)

    async def ready(self, _request: Request, responder: Responder, model: str) -> None:
        """GET /v2/health/ready and /v2/models/MODEL/ready."""
        if model:
            self.check_model(model)
        ready, why = self._ready()
        if not ready:
            raise RefusalError(503, why, code="not_ready")
        await responder.send(200)

    async def server_metadata(self, _request: Request, responder: Responder, _model: str) -> None:
        """GET /v2."""
        await responder.send(200, [JSON], oip.server_metadata(__version__))

    async def model_metadata(self, _request: Request, responder: Responder, model: str) -> None:
        """GET /v2/models/MODEL."""
        self.check_model(model)
        await responder.send(200, [JSON, self.revision], orjson.dumps(self.description(model)))

    async def model_config(self, _request: Request, responder: Responder, model: str) -> None:
        """GET /v2/models/MODEL/config."""
        self.check_model(model)
        await responder.send(200, [JSON, self.revision], model_control.config_json(self._config(model)))

    def _config(self, model: str) -> Any:
        return model_control.config_of({**self.description(model), "platform": names.PART_OF})

    async def model_statistics(self, _request: Request, responder: Responder, model: str) -> None:
        """GET /v2/models/MODEL/stats and /v2/models/stats."""
        model = model or self.spec.model_name
        self.check_model(model)
        told = statistics.described(model, oip.MODEL_VERSION, self._metrics.took)
        await responder.send(200, [JSON, self.revision], orjson.dumps({"model_stats": [told]}))

    async def repository_index(self, request: Request, responder: Responder, _model: str) -> None:
        """POST /v2/repository/index."""
        only_ready = bool(oip.fields(request.body).get("ready", False))
        models = model_control.index(self.spec.model_name, self._ready(), only_ready=only_ready)
        await responder.send(200, [JSON], orjson.dumps(models))

    async def load(self, request: Request, responder: Responder, model: str) -> None:
        """POST /v2/repository/models/MODEL/load; see model_control."""
        self.check_model(model)
        refuse_compressed(request)
        parameters = oip.fields(request.body).get("parameters") or {}
        if not isinstance(parameters, dict):
            raise oip.bad("parameters: an object is expected")
        model_control.check_load(self._config(model), parameters, self._ready())
        await responder.send(200)

    async def unload(self, _request: Request, _responder: Responder, model: str) -> None:
        """POST /v2/repository/models/MODEL/unload; see model_control."""
        self.check_model(model)
        model_control.refuse_unload()


def refuse_compressed(request: Request) -> None:
    """Refuse a body that is not sent as it is."""
    if request.headers.get("content-encoding") not in (None, "identity"):
        raise RefusalError(415, "compressed bodies are not supported", code="unsupported_encoding")


def deadline_of_request(request: Request) -> float | None:
    """Return the seconds that the request's deadline leaves, None when it has none; see deadline_of."""
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


_FIXED: Final[Routes] = {
    names.PATH_MODELS: ("GET", Front.models),
    "/v2": ("GET", Front.server_metadata),
    "/v2/health/live": ("GET", Front.live),
    "/v2/health/ready": ("GET", Front.ready),
    "/v2/models/stats": ("GET", Front.model_statistics),
    "/v2/repository/index": ("POST", Front.repository_index),
}
_OF_MODEL: Final[Routes] = {
    "": ("GET", Front.model_metadata),
    "/ready": ("GET", Front.ready),
    "/config": ("GET", Front.model_config),
    "/stats": ("GET", Front.model_statistics),
    "repository/load": ("POST", Front.load),
    "repository/unload": ("POST", Front.unload),
}
