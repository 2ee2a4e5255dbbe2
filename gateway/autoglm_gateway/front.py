"""The HTTP front: what a request asks for, which pool answers it, and the answers the gateway gives itself."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

import orjson

from autoglm_api import names
from autoglm_gateway import inference, openai
from autoglm_gateway.access_log import AccessLog
from autoglm_gateway.callers import check_limits
from autoglm_gateway.choice import Chooser, unknown_model
from autoglm_gateway.features import Asked
from autoglm_gateway.fleet import Fleet
from autoglm_gateway.head import ClientHead, head_of, identity_of
from autoglm_gateway.metrics import NO_POOL, Metrics
from autoglm_gateway.needs import Visit, estimated_prompt, needed
from autoglm_gateway.passing import trace_of
from autoglm_gateway.pool import Pool
from autoglm_gateway.principals import ANYBODY, Caller, Use
from autoglm_gateway.query import Query
from autoglm_gateway.refusal import RefusalError, error_body
from autoglm_gateway.relay import Carrier
from autoglm_gateway.route import Router
from autoglm_transport.http import Pair, Request
from autoglm_transport.responder import Responder

log = logging.getLogger(__name__)

_JSON: Final[Pair] = ("content-type", "application/json")
# What probes ask; everything else wants a key where there are keys.
_OPEN_PATHS: Final = frozenset({"/v2/health/live", "/v2/health/ready"})


class Front:
    """Answers requests of clients."""

    def __init__(self, fleet: Fleet, relay: Carrier, metrics: Metrics, router: Router) -> None:
        self._fleet = fleet
        self._chooser = Chooser(fleet, router)
        self._relay = relay
        self._metrics = metrics
        self.access_log: AccessLog | None = None

    def handle(self, request: Request, responder: Responder) -> Awaitable[None] | None:
        """Answer one request; bad input gets a 4xx in the shape of its protocol.

        Returns None where callbacks answer, and what is to be awaited where the query has to wait for something.
        """
        now = asyncio.get_running_loop().time()
        try:
            answer = self._plan(request, now)
        except RefusalError as refusal:
            self._metrics.count(NO_POOL, NO_POOL, str(refusal.status))
            if self.access_log is not None:
                trace = trace_of(*identity_of(request.headers))
                self.access_log.refused(trace, refusal, asyncio.get_running_loop().time() - now)
            _refuse(refusal, request, responder)
            responder.done()
            return None
        if isinstance(answer, Query):
            return self._answer(answer, request, responder)
        responder.send_now(200, [_JSON], orjson.dumps(answer))
        responder.done()
        return None

    def shed(self, request: Request, responder: Responder, retry_seconds: int) -> None:
        """Refuse a request at once, because this gateway's processor has more to do than it can."""
        self._metrics.count(NO_POOL, NO_POOL, "429")
        self._metrics.rejected(NO_POOL, "gateway_overloaded")
        message = f"this gateway has more to do than it can; retry in {retry_seconds} s"
        body = error_body(request.path, 429, message, "gateway_overloaded")
        responder.send_now(429, [_JSON, ("retry-after", str(retry_seconds))], body)
        responder.done()

    def _answer(self, query: Query, request: Request, responder: Responder) -> Awaitable[None] | None:
        """Have the query answered, on its caller's account."""
        if query.use is not None:
            query.use.begin(query.tokens, query.arrived)

        def then(error: Exception | None) -> None:
            self._over(query)
            if isinstance(error, RefusalError):
                _refuse(error, request, responder)
            elif error is not None:
                responder.abort()
                log.error("a query failed", exc_info=error)
            responder.done()

        return None if self._relay.start(query, request, responder, then) else self._carry(query, request, responder)

    async def _carry(self, query: Query, request: Request, responder: Responder) -> None:
        try:
            await self._relay.carry(query, request, responder)
        except RefusalError as refusal:
            _refuse(refusal, request, responder)
        finally:
            self._over(query)

    def _over(self, query: Query) -> None:
        """Settle the caller's account, and write down what became of the query."""
        now = asyncio.get_running_loop().time()
        if query.use is not None:
            query.use.end(query.used_tokens - query.tokens, now)
        if self.access_log is not None:
            self.access_log.query(query, now)

    def _plan(self, request: Request, now: float) -> Query | dict[str, object]:
        config = self._fleet.config
        if config is None or not self._fleet.synced:
            message = f"the gateway is starting: no {self._fleet.missing()} yet"
            raise RefusalError(503, message, code="starting", headers=(("retry-after", "1"),))
        head = head_of(request.headers, config.routing.override_header)
        caller = ANYBODY if request.path in _OPEN_PATHS else self._who(request, head)
        visit = Visit(request, head, config, caller, now)
        parse = openai.PARSERS.get(request.path)
        if parse is not None:
            return self._openai(visit, parse)
        if request.path == names.PATH_MODELS or request.path.startswith(names.PATH_MODELS + "/"):
            return self._models(visit)
        if request.path == "/v2" or request.path.startswith("/v2/"):
            return self._inference(visit)
        raise RefusalError(404, f"no such path: {request.path}")

    def _who(self, request: Request, head: ClientHead) -> Caller:
        callers = self._fleet.callers
        if head.caller is None or head.keys_version != callers.version:
            head.caller = callers.who(request.headers)
            head.keys_version = callers.version
        return head.caller

    # --- OpenAI -----------------------------------------------------------------------------------
    def _openai(self, visit: Visit, parse: openai.Parser) -> Query:
        request = visit.request
        _need(request, "POST")
        _need_plain(visit.head)
        model, asked = parse(request.body)
        return self._query(visit, model=model, asked=lambda: asked, target=lambda _: request.target)

    def _models(self, visit: Visit) -> dict[str, object]:
        request = visit.request
        _need(request, "GET")
        models = self._chooser.served_models(visit.config, visit.caller)
        if request.path == names.PATH_MODELS:
            return openai.model_list(models)
        wanted = request.path.removeprefix(names.PATH_MODELS + "/")
        if wanted not in models:
            raise unknown_model(wanted, models)
        return openai.model_card(wanted)

    # --- Open Inference Protocol ------------------------------------------------------------------
    def _inference(self, visit: Visit) -> Query | dict[str, object]:
        request = visit.request
        if request.path in {"/v2", "/v2/", "/v2/health/live", "/v2/health/ready"}:
            _need(request, "GET")
            return self._server_state(request.path)
        path = inference.parse_model_path(request.path, request.method)
        if path.action == "ready":
            return self._model_ready(path.model, visit)

        def asked() -> Asked | None:
            if request.method == "GET":
                return None
            _need_plain(visit.head)
            return inference.asked_of(path.action, request.body, request.headers.get(inference.JSON_LENGTH_HEADER))

        def target(pool: Pool) -> str:
            rewritten = path.rewritten(pool.config.model_name)
            return f"{rewritten}?{request.query}" if request.query else rewritten

        return self._query(visit, model=path.model, asked=asked, target=target)

    def _server_state(self, path: str) -> dict[str, object]:
        if path == "/v2/health/live":
            return {"live": True}
        if path == "/v2/health/ready":
            self._need_ready([pool.name for pool in self._fleet.pools.values()])
            return {"ready": True}
        return {"name": "autoglm-gateway", "version": names.VERSION, "extensions": ["binary_tensor_data", "generate"]}

    def _model_ready(self, model: str, visit: Visit) -> dict[str, object]:
        served = self._chooser.served_models(visit.config, visit.caller)
        if model not in served:
            raise unknown_model(model, served)
        pinned = self._fleet.by_model(model)
        self._need_ready(list(self._fleet.pools) if pinned is None else [pinned.name])
        return {"name": model, "ready": True}

    def _need_ready(self, pools: list[str]) -> None:
        """Refuse unless every class that these pools serve has a ready replica."""
        asked_for = [self._fleet.pools[name] for name in pools]
        looked_at = [pool.config.serves for pool in asked_for]
        # A pool that may sleep answers: the query waits while its first replica starts.
        alive = {pool.config.serves for pool in asked_for if pool.ready_replicas or pool.config.may_sleep}
        dead = sorted(set(looked_at) - alive)
        if dead or not looked_at:
            raise RefusalError(503, f"no ready replica for class {', '.join(dead) or 'any'}", code="not_ready")

    # --- which pool -------------------------------------------------------------------------------
    def _query(
        self,
        visit: Visit,
        *,
        model: str,
        asked: Callable[[], Asked | None],
        target: Callable[[Pool], str],
    ) -> Query:
        request, now = visit.request, visit.now
        use = self._fleet.callers.use_of(visit.caller)
        if use is not None:
            self._limit(use, request, now)
        choice = self._chooser.choose(visit, model, asked)
        pool = choice.pool
        found = needed(visit, pool, choice.question)
        query = Query(
            pool=pool,
            query_class=choice.query_class,
            chosen_by=choice.chosen_by,
            reason=choice.reason,
            target=target(pool),
            headers=visit.head.passed_on,
            trace=trace_of(visit.head.request_id, visit.head.traceparent),
            arrived=now,
            need=found.need,
            deadline=found.deadline,
            prompt_tokens=found.prompt_tokens,
            asked=found.asked,
            use=use,
            offered_class=choice.offered_class if request.method == "POST" else None,
            told=[*choice.told, *found.told],
            cache_control=visit.head.cache_control,
            cache_opt_in=visit.head.cache_opt_in,
        )
        if choice.spilled_from is not None:
            self._metrics.spilled(choice.spilled_from, pool.name)
        return query

    def _limit(self, use: Use, request: Request, now: float) -> None:
        """Refuse what a limit forbids, before it counts for anything."""
        try:
            check_limits(use, estimated_prompt(request, None), now)
        except RefusalError as refusal:
            self._metrics.limited(refusal.code or "")
            raise


def refusal_body(status: int, message: str, path: str) -> bytes:
    """Return the body of what the transport refuses by itself, in the shape of the path's protocol."""
    return error_body(path, status, message)


def _need(request: Request, method: str) -> None:
    if request.method != method:
        raise RefusalError(405, f"use {method} for {request.path}", headers=(("allow", method),))


def _need_plain(head: ClientHead) -> None:
    encoding = head.encoding
    if encoding is not None and encoding.lower() != "identity":
        raise RefusalError(415, f"Content-Encoding {encoding} is not read here; send the body as it is")


def _refuse(refusal: RefusalError, request: Request, responder: Responder) -> None:
    body = error_body(request.path, refusal.status, refusal.message, refusal.code)
    responder.send_now(refusal.status, [_JSON, *refusal.headers], body)
