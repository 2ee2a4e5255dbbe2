"""Answers queries from the cache, and lets all others pass to the replicas while it listens."""

import asyncio
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from typing import Final

from autoglm_api import names
from autoglm_api.cache import Cache
from autoglm_gateway.cache.counts import Counts, Gauges, Level
from autoglm_gateway.cache.entry import Entry
from autoglm_gateway.cache.key import answer_key
from autoglm_gateway.cache.memory import Memory, Sightings
from autoglm_gateway.cache.policy import Ask, Bypass, answer_tokens, ask_of
from autoglm_gateway.cache.recorder import Recorder
from autoglm_gateway.cache.redis_store import RedisStore, Target, target_of
from autoglm_gateway.cache.single_flight import SingleFlight, Turn
from autoglm_gateway.metrics import Metrics
from autoglm_gateway.passing import told_to_client
from autoglm_gateway.query import Query
from autoglm_gateway.relay import Carrier, Then
from autoglm_transport.http import Request, encode_pairs
from autoglm_transport.responder import Responder

log = logging.getLogger(__name__)

_SIGHTINGS: Final = 16_384
# A query that waits for the answer to another one goes by itself after so long.
_PATIENCE_SECONDS: Final = 30.0
_OK: Final = 200
_STREAM_END: Final = b"data: [DONE]"


@dataclass(slots=True, init=False)  # decision 21
class _Look:
    """A query that the cache may answer."""

    key: bytes
    revision: str
    ask: Ask

    def __init__(
        self,
        key: bytes,
        revision: str,
        ask: Ask,
    ) -> None:
        self.key = key
        self.revision = revision
        self.ask = ask

    def takes(self, entry: Entry, now: float) -> bool:
        """Whether the client takes an answer of this age."""
        return entry.age(now) <= self.ask.max_age


class AnswerCache:
    """Stands before the relay; does nothing until it is configured."""

    def __init__(self, relay: Carrier, metrics: Metrics, wall: Callable[[], float] = time.time) -> None:
        self._relay = relay
        self._metrics = metrics
        self._wall = wall
        self._settings: Cache | None = None
        self._scope = ""
        self._memory = Memory(0, 0)
        self._sightings = Sightings(_SIGHTINGS)
        self._flights = SingleFlight()
        self._secret = os.urandom(32)
        self._redis: RedisStore | None = None
        self._redis_url: str | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self.counts = Counts()

    def configure(self, settings: Cache | None, scope: str) -> None:
        """Take over settings; `scope` names the deployment in a store that several may share. None forgets all."""
        self._settings = settings
        self._scope = scope
        if settings is None:
            self._memory.limit(0, 0)
        else:
            self._memory.limit(settings.max_bytes, settings.time_to_live_seconds)
        if settings is None or settings.redis is None:
            self.use_redis(None)

    def use_redis(self, url: str | None) -> None:
        """Use this Redis from now on, or none; a URL that cannot be read is logged and counts as none.

        The URL is the secret that gateways share: keys and signatures are made with it, so that gateways find each
        other's answers. A new URL is a new, empty cache.
        """
        if url == self._redis_url:
            return
        self._redis_url = url
        if self._redis is not None:
            closing = asyncio.create_task(self._redis.close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
        self._redis = None
        target = None if url is None else _target(url)
        if target is not None:
            digest = blake2b(f"{self._scope}\n{url}".encode(), digest_size=32, person=b"autoglm-shared")
            self._secret = digest.digest()
            self._redis = RedisStore(target, self._secret, f"autoglm:{self._scope}:")
            self._redis.connect()

    async def close(self) -> None:
        """Close the connection to Redis."""
        if self._redis is not None:
            await self._redis.close()
        if self._closing:
            await asyncio.wait(self._closing)

    def gauges(self) -> Gauges:
        """Return the state for the metrics."""
        redis = self._redis
        return Gauges(self._memory.bytes, None if redis is None else redis.available, redis.errors if redis else 0)

    def start(self, query: Query, request: Request, responder: Responder, then: Then) -> bool:
        """Answer at once, from memory or by the relay; False when the query has to wait for something."""
        if self._settings is None or request.path != names.PATH_CHAT:
            return self._relay.start(query, request, responder, then)
        look = self.look(query, request)
        if isinstance(look, Bypass):
            started = self._started("bypass", query, request, responder, then)
            self.counts.bypassed[look] += started
            return started
        entry = self._memory.get(look.key, self._wall())
        if entry is None or not look.takes(entry, self._wall()):
            return self._lead_now(look, query, request, responder, then)
        self._hit(Level.MEMORY, entry, query, responder)
        then(None)
        return True

    def _lead_now(self, look: _Look, query: Query, request: Request, responder: Responder, then: Then) -> bool:
        """Ask a replica for all that wait for this answer, unless Redis or another query is to be waited for."""
        if self._redis is not None or look.ask.max_age < 0 or not self._flights.lead(look.key):
            return False
        query.tap = recorder = Recorder()
        if self._started("miss", query, request, responder, partial(self._landed, look, query, recorder, then)):
            self.counts.misses += 1
            return True
        query.tap = None
        self._flights.land(look.key, None)
        return False

    def _started(self, told: str, query: Query, request: Request, responder: Responder, then: Then) -> bool:
        query.told.append((names.HEADER_CACHE, told))
        started = self._relay.start(query, request, responder, then)
        if not started:
            query.told.pop()
        return started

    def _landed(self, look: _Look, query: Query, recorder: Recorder, then: Then, error: Exception | None) -> None:
        """Keep an answer that was asked for before, and hand it to those that wait for it."""
        waiting = self._flights.waiting(look.key)
        again = self._sightings.again(look.key)
        entry = self._entry_of(look, query, recorder) if again or waiting else None
        if entry is not None:
            self._keep(look, entry)
        if waiting and entry is None and _may_differ(look, recorder):
            self._flights.fail(look.key)
        else:
            self._flights.land(look.key, entry)
        then(error)

    async def carry(self, query: Query, request: Request, responder: Responder) -> None:
        """Answer from the cache or let the query pass; raises what the relay raises."""
        if self._settings is None or request.path != names.PATH_CHAT:
            await self._relay.carry(query, request, responder)
            return
        look = self.look(query, request)
        if isinstance(look, Bypass):
            self.counts.bypassed[look] += 1
            query.told.append((names.HEADER_CACHE, "bypass"))
            await self._relay.carry(query, request, responder)
            return
        entry = self._memory.get(look.key, self._wall())
        if entry is not None and look.takes(entry, self._wall()):
            self._hit(Level.MEMORY, entry, query, responder)
        else:
            await self._missed(look, query, request, responder)

    def look(self, query: Query, request: Request) -> _Look | Bypass:
        """Return under which key the answer is, or why there is none."""
        ask = ask_of(request.body, query.cache_control, opt_in=query.cache_opt_in)
        if isinstance(ask, Bypass):
            return ask
        pool = query.pool
        if not pool.revision:
            return Bypass.REVISION
        key = answer_key(
            ask.body,
            secret=self._secret,
            tenant=query.need.wish.tenant,
            pool=pool.name,
            model=pool.config.model_name,
            revision=pool.revision,
            target=query.target,
            stream=ask.stream,
        )
        return Bypass.MALFORMED if key is None else _Look(key, pool.revision, ask)

    async def _missed(self, look: _Look, query: Query, request: Request, responder: Responder) -> None:
        again = self._sightings.again(look.key)
        if look.ask.max_age < 0:  # the client wants a new answer: nobody else's, and that of nobody who came before
            await self._refresh(look, query, request, responder, keep=again)
            return
        turn = await self._flights.join(look.key, _patience(query))
        if isinstance(turn, Entry) and look.takes(turn, self._wall()):
            self._hit(Level.SHARED, turn, query, responder)
        elif turn is Turn.LEAD:
            await self._lead(look, query, request, responder, again=again)
        else:
            await self._ask_replica(query, request, responder)

    async def _lead(self, look: _Look, query: Query, request: Request, responder: Responder, *, again: bool) -> None:
        """Find the answer for all that wait for it, in Redis or at a replica; on every path somebody is told."""
        failed = True
        entry: Entry | None = None
        try:
            entry = await self._from_redis(look)
            if entry is None:
                query.tap = recorder = Recorder()
                await self._ask_replica(query, request, responder)
                entry = self._entry_of(look, query, recorder)
                failed = entry is None and _may_differ(look, recorder)
                if entry is not None and (again or self._flights.waiting(look.key)):
                    self._keep(look, entry)
                return
            failed = False
        finally:
            if failed:
                self._flights.fail(look.key)
            else:
                self._flights.land(look.key, entry)
        self._hit(Level.REDIS, entry, query, responder)

    async def _refresh(self, look: _Look, query: Query, request: Request, responder: Responder, *, keep: bool) -> None:
        query.tap = recorder = Recorder()
        await self._ask_replica(query, request, responder)
        entry = self._entry_of(look, query, recorder)
        if entry is not None and keep:
            self._keep(look, entry)

    async def _from_redis(self, look: _Look) -> Entry | None:
        entry = None if self._redis is None else await self._redis.get(look.key, look.revision)
        if entry is None or self._settings is None or not look.takes(entry, self._wall()):
            return None
        if entry.age(self._wall()) >= self._settings.time_to_live_seconds:
            return None
        self._memory.put(look.key, entry)
        return entry

    async def _ask_replica(self, query: Query, request: Request, responder: Responder) -> None:
        self.counts.misses += 1
        query.told.append((names.HEADER_CACHE, "miss"))
        await self._relay.carry(query, request, responder)

    def _entry_of(self, look: _Look, query: Query, recorder: Recorder) -> Entry | None:
        """Return the answer as it may be kept; None for one that may not."""
        answer = recorder.answer()
        if answer is None or query.pool.revision != look.revision:
            return None
        if answer.header(names.HEADER_REVISION) not in {"", look.revision}:
            return None
        tokens = answer_tokens(answer.status, answer.header("content-type"), answer.body, stream=look.ask.stream)
        if tokens is None:
            return None
        return Entry(answer.body, answer.headers, look.ask.stream, query.prompt_tokens + tokens, self._wall())

    def _keep(self, look: _Look, entry: Entry) -> None:
        if self._settings is None:
            return
        self.counts.stored += 1
        self._memory.put(look.key, entry)
        if self._redis is not None:
            self._redis.put(look.key, look.revision, entry, self._settings.time_to_live_seconds)

    def _hit(self, level: Level, entry: Entry, query: Query, responder: Responder) -> None:
        self.counts.hits[level] += 1
        self.counts.saved_tokens += entry.tokens
        self._metrics.routed(query.query_class, query.chosen_by)
        query.code = str(_OK)
        self._metrics.count(query.pool.name, query.query_class, query.code)
        query.told += [(names.HEADER_CACHE, "hit"), ("age", str(int(entry.age(self._wall()))))]
        ours = told_to_client(query.trace, query.pool.name, query.query_class, query.reason, query.told)
        lines = encode_pairs(entry.headers) + ours
        if entry.stream:
            responder.start_lines(_OK, lines, sized=False)
            responder.write_now(entry.body)
            responder.end_now()
        else:
            responder.send_lines(_OK, lines, entry.body)


def _target(url: str) -> Target | None:
    try:
        return target_of(url)
    except ValueError as error:
        log.error("no answers are shared: %s", error)  # noqa: TRY400 - no bug of ours
        return None


def _patience(query: Query) -> float:
    if query.deadline is None:
        return _PATIENCE_SECONDS
    return max(0.0, min(_PATIENCE_SECONDS, query.deadline - asyncio.get_running_loop().time()))


def _may_differ(look: _Look, recorder: Recorder) -> bool:
    """Whether the next attempt at the same query may end better: this answer was no good, or broke off."""
    if not recorder.whole or recorder.status != _OK:
        return True
    answer = recorder.answer()
    return answer is not None and look.ask.stream and not answer.body.rstrip().endswith(_STREAM_END)
