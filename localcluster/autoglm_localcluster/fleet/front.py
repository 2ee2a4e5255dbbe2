"""The two servers of the fleet: the front port of all replicas and their admin port."""

import asyncio
from collections import defaultdict
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError

from autoglm_api import names
from autoglm_localcluster.fleet import reply
from autoglm_localcluster.fleet.profile import Profile, Profiles, pieces, profile_of
from autoglm_localcluster.fleet.replica import FullError, Replica
from autoglm_localcluster.fleet.reply import ChatQuery
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder

_SIMULATED: Final = (names.HEADER_SIMULATED, "true")
_JSON: Final = [("content-type", "application/json"), _SIMULATED]
_EVENTS: Final = [("content-type", "text/event-stream"), ("cache-control", "no-cache"), _SIMULATED]
_TEXT: Final = [("content-type", "text/plain; charset=utf-8"), _SIMULATED]


class Fleet:
    """All simulated replicas, made when somebody first connects to their address."""

    def __init__(self, profiles: Profiles) -> None:
        self._profiles = profiles
        self._replicas: defaultdict[str, Replica] = defaultdict(Replica)

    async def front(self, request: Request, responder: Responder) -> None:
        """Handle a request to a replica's front port."""
        match request.method, request.path:
            case "POST", names.PATH_CHAT:
                await self._chat(request, responder)
            case "GET", names.PATH_HEALTHZ | names.PATH_READYZ:
                await responder.send(200, _TEXT, b"simulated\n")
            case _:
                await responder.send(404, _JSON, reply.error("the fleet answers chat completions only", "not_found"))

    async def admin(self, request: Request, responder: Responder) -> None:
        """Handle a request to a replica's admin port."""
        match request.path:
            case names.PATH_METRICS:
                page = generate_latest(self._replicas[responder.local].registry)
                await responder.send(200, [("content-type", CONTENT_TYPE_LATEST), _SIMULATED], page)
            case names.PATH_HEALTHZ | names.PATH_READYZ:
                await responder.send(200, _TEXT, b"simulated\n")
            case _:
                await responder.send(404, _TEXT, b"not here\n")

    async def _chat(self, request: Request, responder: Responder) -> None:
        replica = self._replicas[responder.local]
        try:
            query = ChatQuery.model_validate_json(request.body)
        except ValidationError as problem:
            replica.queries.labels(code="400").inc()
            await responder.send(400, _JSON, reply.error(str(problem), "invalid_request_error"))
            return
        profile = profile_of(self._profiles, request.headers.get(names.HEADER_CLASS))
        try:
            await replica.enter(profile)
        except FullError:
            replica.queries.labels(code="429").inc()
            await responder.send(429, [*_JSON, ("retry-after", "1")], reply.error("full", "rate_limit_error"))
            return
        try:
            await _answer(query, profile, replica, responder, request.headers.get(names.HEADER_REQUEST_ID) or "sim")
            replica.queries.labels(code="200").inc()
        finally:
            replica.leave()


async def _answer(query: ChatQuery, profile: Profile, replica: Replica, responder: Responder, reply_id: str) -> None:
    prompt_tokens = query.prompt_tokens()
    tokens = query.output_tokens(profile.default_tokens)
    replica.prompt_tokens.inc(prompt_tokens)
    counted = (names.HEADER_PROMPT_TOKENS, str(prompt_tokens))
    await asyncio.sleep(profile.prefill_seconds(prompt_tokens))
    if query.stream:
        responder.start(200, [*_EVENTS, counted])
        await _stream(query, profile, replica, responder, reply_id)
        return
    await asyncio.sleep(sum(piece.wait_seconds for piece in pieces(profile, tokens)))
    replica.output_tokens.inc(tokens)
    await responder.send(200, [*_JSON, counted], reply.whole(query, reply_id, tokens))


async def _stream(query: ChatQuery, profile: Profile, replica: Replica, responder: Responder, reply_id: str) -> None:
    sent = 0
    for piece in pieces(profile, query.output_tokens(profile.default_tokens)):
        await asyncio.sleep(piece.wait_seconds)
        await responder.write(reply.event(query, reply_id, reply.text(sent, piece.tokens)))
        sent += piece.tokens
        replica.output_tokens.inc(piece.tokens)
    await responder.write(reply.event(query, reply_id, "", finish="stop") + reply.DONE)
    await responder.end()
