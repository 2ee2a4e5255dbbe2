"""Invariants of the gateway's pure parts and of a pool under random arrivals, ends and changes."""

import asyncio
import json
from contextlib import suppress
from itertools import accumulate
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_api.spec import QueryClass, Queue
from autoglm_gateway.balance import Address, Replica, SmoothWeighted, share
from autoglm_gateway.inference import asked_of
from autoglm_gateway.openai import parse_chat
from autoglm_gateway.pool import Pool, QueueFullError
from autoglm_gateway.queueing import Wish
from autoglm_gateway.refusal import RefusalError
from autoglm_gateway.route import Asked, classify
from autoglm_gateway.serving import Need
from autoglm_transport.limits import Limits
from autoglm_transport.reading import RefusedError, RequestReader
from support.gateways import pool

weights = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 100), min_size=1)


@settings(max_examples=50)
@given(weights, st.integers(1, 300))
def test_every_pool_is_always_within_one_turn_of_its_share(shares: dict[str, int], turns: int) -> None:
    balance = SmoothWeighted()
    total = sum(shares.values())
    given_to = dict.fromkeys(shares, 0)
    for turn in range(1, turns + 1):
        given_to[balance.pick(shares)] += 1
        for name, weight in shares.items():
            assert abs(given_to[name] - turn * weight / total) < len(shares)


@given(st.integers(1, 1024), st.integers(1, 64))
def test_shares_cover_the_cap_and_waste_less_than_one_each(cap: int, gateways: int) -> None:
    mine = share(cap, gateways)
    assert mine * gateways >= cap
    assert (mine - 1) * gateways < cap


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("arrive"), st.integers(0, 9)),
        st.tuples(st.just("end"), st.integers(0, 9)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("replicas"), st.integers(0, 4)),
        st.tuples(st.just("gateways"), st.integers(1, 3)),
    ),
    max_size=60,
)
LONG = Need(Wish(0.0, 1e12))
CAP = 3
MAX_QUERIES = 4


class World:
    """A pool, and the queries that it has accepted."""

    def __init__(self) -> None:
        self.pool = Pool(pool("light", QueryClass.SIMPLE, concurrency_per_replica=CAP), Queue(max_queries=MAX_QUERIES))
        self.queries: list[asyncio.Task[Replica]] = []
        self.count = 1
        self.gateways = 1

    async def step(self, action: str, number: int) -> None:
        match action:
            case "arrive":
                self.queries.append(asyncio.ensure_future(self.pool.take(LONG)))
            case "end":
                self._end([query for query in self.queries if query.done()], number)
            case "leave":
                for query in [query for query in self.queries if not query.done()][number : number + 1]:
                    query.cancel()
            case "replicas":
                self.count = number
            case "gateways":
                self.gateways = number
        if action in {"replicas", "gateways"}:
            found = {Address("h", port): "r" for port in range(self.count)}
            self.pool.set_replicas(found, self.gateways, asyncio.get_running_loop().time())
        for _ in range(3):
            await asyncio.sleep(0)
        self._forget_refused()

    def _end(self, sent: list[asyncio.Task[Replica]], number: int) -> None:
        for query in sent[number : number + 1]:
            self.queries.remove(query)
            self.pool.release(query.result(), LONG)

    def _forget_refused(self) -> None:
        for query in list(self.queries):
            if query.cancelled() or (query.done() and isinstance(query.exception(), QueueFullError)):
                self.queries.remove(query)


@settings(max_examples=60)
@given(STEPS)
def test_a_pool_never_exceeds_its_bounds_and_loses_nobody(steps: list[tuple[str, int]]) -> None:
    asyncio.run(_walk(steps))


async def _walk(steps: list[tuple[str, int]]) -> None:
    world = World()
    await world.step("replicas", 1)
    for (action, number), changes in zip(steps, accumulate(_is_change(step) for step in steps), strict=True):
        before = dict(world.pool._replicas)
        await world.step(action, number)
        sent = sum(query.done() for query in world.queries)
        assert (world.pool.in_flight, world.pool.queued) == (sent, len(world.queries) - sent)
        assert world.pool.queued <= MAX_QUERIES
        cap = share(CAP, world.gateways)
        for address, replica in world.pool._replicas.items():
            assert replica.in_flight <= (CAP if changes else cap), (address, before)
            if world.pool.queued:
                assert replica.in_flight >= cap  # nobody waits while there is room
    for query in world.queries:
        query.cancel()
    await asyncio.gather(*world.queries, return_exceptions=True)


def _is_change(step: tuple[str, int]) -> bool:
    return step[0] == "gateways"


@settings(max_examples=50)
@given(st.text(max_size=100), st.integers(0, 10**6), st.integers(1, 50), st.integers(0, 10**5))
def test_every_text_has_a_class_and_a_short_ascii_reason(text: str, chars: int, turns: int, tokens: int) -> None:
    verdict = classify(Asked(text, chars, turns, tokens))
    assert verdict.query_class in set(QueryClass)
    assert (verdict.reason.isascii(), verdict.reason.isprintable(), len(verdict.reason) < 200) == (True, True, True)


json_values: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, -1, 2**70, 1.5, "", "BYTES", [], {}, [None], [{}], {"binary_data_size": -1}]
)
KEYS = st.sampled_from(
    ["model", "messages", "inputs", "text_input", "datatype", "data", "parameters", "role", "content"]
)
objects = st.dictionaries(
    KEYS, json_values | st.lists(st.dictionaries(KEYS, json_values, max_size=4), max_size=3), max_size=4
)
bodies = st.binary(max_size=200) | objects.map(lambda value: json.dumps(value).encode())


@settings(max_examples=100)
@given(bodies, st.sampled_from(["infer", "generate"]), st.none() | st.text(max_size=5))
def test_bad_bodies_are_refused_and_never_crash(body: bytes, action: str, length: str | None) -> None:
    for parse in (lambda: parse_chat(body), lambda: asked_of(action, body, length)):
        with suppress(RefusalError):
            parse()


@given(st.lists(st.binary(max_size=100), max_size=10))
def test_any_bytes_are_read_or_refused(pieces: list[bytes]) -> None:
    reader = RequestReader(Limits(max_header_bytes=500, max_body_bytes=100))
    with suppress(RefusedError):
        for piece in [b"POST / HTTP/1.1\r\nHost: h\r\n", *pieces]:
            reader.feed(piece)
