"""What the answer cache costs and what it saves.

    python benchmarks/cache/run.py [--queries N] [--quick] [--out FILE]

1. Cost: CPU time of one look-up in the process (policy, key, memory), by size of the query.
2. Savings: one or two gateways before a model that takes 20 ms and counts; queries drawn by Zipf's law from a list, 8
   at once. With two gateways every query goes to either by chance.
3. Latency: one query at a time before a model that answers at once, so that what the cache adds can be seen. A look-up
   in Redis that is late (5 ms) is a miss; it is counted apart.
4. Outage: Redis hangs, goes on, dies, while 200 new or known queries a second come (open loop).

Gateways and Redis are processes of their own, unmodified. Redis arms run where `redis-server` is installed.
"""

import argparse
import asyncio
import json
import os
import random
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import uvloop
from services import ANSWER, Gateway, Model, body_of, gateway, redis_server, served

from autoglm_api import names
from autoglm_api.cache import Cache, RedisCache, SecretKeyRef
from autoglm_gateway.cache.entry import Entry
from autoglm_gateway.cache.key import answer_key
from autoglm_gateway.cache.memory import Memory
from autoglm_gateway.cache.policy import Ask, ask_of

AT_ONCE: Final = 8
DISTINCT: Final = 2000
ANSWER_SECONDS: Final = 0.02
SHARED: Final = Cache(redis=RedisCache(url_secret_ref=SecretKeyRef(name="redis")))
LAG: Final = 20  # queries between one gateway's storing and the other's asking
RATE: Final = 200.0
PHASES: Final = (
    ("Redis answers", 3.0),
    ("hangs, first second", 1.0),
    ("hangs", 3.0),
    ("goes on, first 5 s", 5.0),
    ("goes on", 3.0),
    ("killed", 3.0),
)


# --- cost ---------------------------------------------------------------------------------------------
def look_up_cost(size: int, times: int = 20_000) -> float:
    """Return the microseconds of one hit: may it come from the cache, its key, the answer."""
    body, memory = body_of(1, size), Memory(1 << 20, 600)

    def look_up() -> Entry | None:
        ask = ask_of(body)
        if not isinstance(ask, Ask):
            raise TypeError(ask)
        where = {"tenant": "shop", "pool": "light", "model": "glm", "revision": "r1", "target": names.PATH_CHAT}
        key = answer_key(ask.body, secret=b"s" * 32, stream=False, **where)
        if key is None:
            raise TypeError(body)
        found = memory.get(key, 1.0)
        if found is None:
            memory.put(key, Entry(ANSWER, (), stream=False, tokens=1, stored_at=0.0))
        return found

    return min(_cpu_us(look_up, times // 5) for _ in range(5))


def _cpu_us(call: Callable[[], object], times: int) -> float:
    began = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - began) / times * 1e6


# --- savings ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Saved:
    """One arm; hits in percent of the queries."""

    arm: str
    skew: float
    queries: int
    model_calls: int
    hits_percent: float
    redis_hits_percent: float
    saved_tokens: int


@asynccontextmanager
async def gateways(model: Model, count: int, cache: Cache | None, redis: str | None) -> AsyncIterator[list[Gateway]]:
    """Run so many gateways before the model."""
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(served(model))
        yield [await stack.enter_async_context(gateway(port, cache, redis)) for _ in range(count)]


async def savings(arm: str, skew: float, queries: int, count: int, cache: Cache | None, redis: str | None) -> Saved:
    """Play one arm; the same seed draws the same queries in all of them."""
    chance = random.Random(7)
    drawn = chance.choices(range(DISTINCT), [1 / (rank + 1) ** skew for rank in range(DISTINCT)], k=queries)
    model = Model(ANSWER_SECONDS)
    async with gateways(model, count, cache, redis) as running:
        todo = iter([(chance.choice(running), body_of(number)) for number in drawn])
        await asyncio.gather(*(_client(todo) for _ in range(AT_ONCE)))
        hits = sum([await one.figure(names.METRIC_GATEWAY_CACHE_HITS) for one in running])
        of_redis = sum([await one.figure(names.METRIC_GATEWAY_CACHE_HITS, level="redis") for one in running])
        saved = sum([await one.figure(names.METRIC_GATEWAY_CACHE_SAVED_TOKENS) for one in running])
    return Saved(arm, skew, queries, model.calls, _percent(hits, queries), _percent(of_redis, queries), int(saved))


async def _client(todo: Iterator[tuple[Gateway, bytes]]) -> None:
    for one, body in todo:
        await one.ask(body)


def _percent(part: float, whole: int) -> float:
    return round(100 * part / whole, 1)


async def all_savings(queries: int, redis: str | None, skews: tuple[float, ...]) -> list[Saved]:
    """Play all arms; each Redis arm has a database of its own."""
    done = []
    for number, skew in enumerate(skews):
        done.append(await savings("no cache", skew, queries, 1, None, None))
        done.append(await savings("memory, 1 gateway", skew, queries, 1, Cache(), None))
        done.append(await savings("memory, 2 gateways", skew, queries, 2, Cache(), None))
        if redis is not None:
            done.append(await savings("Redis, 2 gateways", skew, queries, 2, SHARED, f"{redis}/{number}"))
    return done


# --- latency ------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Took:
    """How long one kind of answer takes, in milliseconds."""

    kind: str
    count: int
    median: float
    p99: float
    longest: float


def took(kind: str, seconds: list[float]) -> Took:
    """Sum up."""
    ordered = sorted(one * 1000 for one in seconds) or [0.0]
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return Took(kind, len(seconds), round(statistics.median(ordered), 3), round(p99, 3), round(ordered[-1], 3))


async def latencies(redis: str | None, count: int) -> list[Took]:
    """Ask the same questions of gateways with no cache, with memory and with Redis, in turns."""
    seen: dict[str, list[float]] = {}

    async def timed(kind: str, one: Gateway, number: int, expected: str) -> bool:
        body, began = body_of(number), time.perf_counter()
        said = await one.ask(body)
        late = ", late" if kind == "hit in Redis" and said == "miss" else ""
        if said != expected and not late:
            raise RuntimeError(f"{kind}: {said}")
        seen.setdefault(kind + late, []).append(time.perf_counter() - began)
        return not late

    model = Model(0.0)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(served(model))
        off = await stack.enter_async_context(gateway(port, None, None))
        memory = await stack.enter_async_context(gateway(port, Cache(), None))
        some = [await stack.enter_async_context(gateway(port, SHARED, redis)) for _ in range(2)] if redis else []
        for number in range(count + LAG):
            await timed("no cache", off, number, "off")
            await timed("miss, memory only", memory, number, "miss")
            await memory.ask(body_of(number))
            await timed("hit in memory, memory only", memory, number, "hit")
            if some:
                first, second = some
                await timed("miss, with Redis", first, number, "miss")
                await first.ask(body_of(number))
                if number >= LAG and await timed("hit in Redis", second, number - LAG, "hit"):
                    await timed("hit in memory, with Redis", second, number - LAG, "hit")
    return [took(kind, seconds) for kind, seconds in seen.items()]


# --- outage -------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Phase:
    """One phase of the outage."""

    took: Took
    failed: int
    hits_percent: float
    redis_errors: int
    breaker_closed: bool


async def outage() -> list[Phase]:
    """Let Redis hang, go on and die before a gateway in use; every query must be answered."""
    phases = []
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server())
        port = await stack.enter_async_context(served(Model(0.0)))
        other, one = [await stack.enter_async_context(gateway(port, SHARED, redis.url)) for _ in range(2)]
        known = 0
        queries = int(sum(seconds for _, seconds in PHASES) * RATE)
        for number in range(1, queries, 2):  # so these are in Redis, and not in the memory of the one that is asked
            await other.ask(body_of(number))
            await other.ask(body_of(number))
        change = {"hangs, first second": redis.freeze, "goes on, first 5 s": redis.thaw, "killed": redis.process.kill}
        for name, seconds in PHASES:
            change.get(name, lambda: None)()
            phases.append(await phase(one, name, seconds, known))
            known += int(seconds * RATE)
    return phases


async def phase(one: Gateway, name: str, seconds: float, first: int) -> Phase:
    """Ask at a fixed rate, whether answers come or not; half are known to Redis, half are new."""
    errors = await one.figure(names.METRIC_GATEWAY_CACHE_REDIS_ERRORS)
    results: list[tuple[float, str]] = []

    async def ask(number: int) -> None:
        began = time.perf_counter()
        try:
            said = await one.ask(body_of(number if number % 2 else 1_000_000 + number))
        except (RuntimeError, OSError) as error:
            said = f"failed: {error}"
        results.append((time.perf_counter() - began, said))

    await at_rate(ask, first, int(seconds * RATE))
    return Phase(
        took(name, [found for found, _ in results]),
        sum(said.startswith("failed") for _, said in results),
        _percent(sum(said == "hit" for _, said in results), len(results)),
        int(await one.figure(names.METRIC_GATEWAY_CACHE_REDIS_ERRORS) - errors),
        bool(await one.figure(names.METRIC_GATEWAY_CACHE_REDIS)),
    )


async def at_rate(ask: Callable[[int], Coroutine[Any, Any, None]], first: int, count: int) -> None:
    """Start `count` calls at the rate, and wait for all."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
            group.create_task(ask(first + number))


# --- all ----------------------------------------------------------------------------------------------
async def play(queries: int, *, quick: bool) -> dict[str, object]:
    """Measure what needs gateways, print, return it all."""
    async with AsyncExitStack() as stack:
        has_redis = shutil.which("redis-server") is not None
        url = (await stack.enter_async_context(redis_server())).url if has_redis else None
        saved = await all_savings(queries, url, (1.0,) if quick else (0.7, 1.0, 1.3))
        print(f"{'arm':20} {'skew':>4} {'queries':>8} {'model calls':>12} {'hits':>7} {'of Redis':>9} {'tokens':>13}")
        for one in saved:
            found = f"{one.model_calls:12} {one.hits_percent:6}% {one.redis_hits_percent:8}% {one.saved_tokens:13}"
            print(f"{one.arm:20} {one.skew:4} {one.queries:8} {found}")
        taken = await latencies(f"{url}/9" if url else None, 100 if quick else 1000)
        print_took(taken)
    phases = await outage() if has_redis else []
    for phase_ in phases:
        told = f"{phase_.failed} failed, {phase_.hits_percent}% hits, {phase_.redis_errors} errors of Redis"
        print(f"{line(phase_.took)}; {told}, Redis {'in use' if phase_.breaker_closed else 'left alone'}")
    record = {"savings": saved, "latency_ms": taken, "outage": phases}
    return {name: [asdict(one) for one in some] for name, some in record.items()}


def print_took(some: list[Took]) -> None:
    """Print latencies."""
    for one in some:
        print(line(one))


def line(one: Took) -> str:
    """Return a latency as a line."""
    return (
        f"{one.kind:28} {one.count:5} queries: median {one.median:.2f} ms, p99 {one.p99:.2f}, longest {one.longest:.2f}"
    )


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--quick", action="store_true", help="one skew, fewer queries")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    costs = {size: round(look_up_cost(size), 2) for size in (300, 4000)}
    for size, cost in costs.items():
        print(f"look-up of a hit, {size} characters: {cost} us of CPU")
    print(f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}")
    record = uvloop.run(play(arguments.queries, quick=arguments.quick))
    if arguments.out is not None:
        arguments.out.write_text(json.dumps({"look_up_us": costs} | record, indent=2) + "\n")


if __name__ == "__main__":
    main()
