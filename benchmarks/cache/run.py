"""What the answer cache costs and what it saves.

    python benchmarks/cache/run.py [--queries N] [--out FILE]

Cost: CPU time of one look-up in the process (policy, key, memory), by size of the query. Savings: one or two gateways
in this process on real sockets, before a replica that counts; queries drawn by Zipf's law from a list, 32 at once.
With two gateways every query goes to either by chance. Redis arms run where `redis-server` is installed.
"""

import argparse
import asyncio
import json
import random
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import orjson

from autoglm_api import names
from autoglm_api.cache import Cache, RedisCache, SecretKeyRef
from autoglm_api.config import GatewayConfig, GatewayPool
from autoglm_api.spec import QueryClass
from autoglm_gateway.app import Gateway, Settings
from autoglm_gateway.balance import Address
from autoglm_gateway.cache.entry import Entry
from autoglm_gateway.cache.key import answer_key
from autoglm_gateway.cache.memory import Memory
from autoglm_gateway.cache.policy import Ask, ask_of
from autoglm_gateway.fleet import Endpoints, Fleet
from autoglm_transport.client import UpstreamPool
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import HttpServer

HOST: Final = "127.0.0.1"
AT_ONCE: Final = 32
DISTINCT: Final = 2000
ANSWER_SECONDS: Final = 0.02
REDIS: Final = RedisCache(url_secret_ref=SecretKeyRef(name="redis"))
ANSWER: Final = orjson.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "14 euros"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 60, "completion_tokens": 4},
    }
)


@dataclass(frozen=True)
class Saved:
    """One arm of the second part; hits in percent of the queries."""

    arm: str
    skew: float
    queries: int
    model_calls: int
    hits_percent: float
    saved_tokens: int


def body_of(number: int, size: int = 300) -> bytes:
    """Return a query of about that many characters."""
    text = f"Question {number}: " + "how much is the lamp with the shade? " * (size // 37)
    messages = [{"role": "user", "content": text[:size]}]
    return orjson.dumps({"model": "shop", "messages": messages, "temperature": 0, "max_tokens": 64})


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


class Model:
    """A replica that takes a while and counts."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, request: Request, responder: Responder) -> None:
        """Answer."""
        del request
        self.calls += 1
        await asyncio.sleep(ANSWER_SECONDS)
        await responder.send(200, [("content-type", "application/json")], ANSWER)


@asynccontextmanager
async def gateway(replica: int, cache: Cache | None, redis: str | None) -> AsyncIterator[tuple[Gateway, int]]:
    """Run a gateway of this process before the replica."""
    pools = [
        GatewayPool(name=name, serves=serves, model_name=f"glm-{name}", concurrency_per_replica=64)
        for name, serves in (("light", QueryClass.SIMPLE), ("large", QueryClass.COMPLEX))
    ]
    config = GatewayConfig(deployment="shop", namespace="bench", pools=pools, cache=cache, max_body_bytes=1 << 20)

    async def source(fleet: Fleet) -> None:
        fleet.configure(config)
        fleet.use_redis(redis)
        fleet.locate(Endpoints({pool.name: {Address(HOST, replica): "r1"} for pool in pools}))
        await asyncio.Event().wait()

    made = Gateway(Settings(host=HOST, port=0, admin_port=0, propagation_seconds=0.0), source)
    port, _ = await made.start()
    await asyncio.sleep(0.2)  # Redis connects
    try:
        yield made, port
    finally:
        await made.stop()


async def savings(arm: str, skew: float, queries: int, gateways: int, cache: Cache | None, redis: str | None) -> Saved:
    """Play one arm; the same seed draws the same queries in all of them."""
    chance = random.Random(7)
    drawn = chance.choices(range(DISTINCT), [1 / (rank + 1) ** skew for rank in range(DISTINCT)], k=queries)
    model = Model()
    async with AsyncExitStack() as stack:
        server = HttpServer(model, Limits())
        stack.push_async_callback(server.close)
        replica = await server.start(HOST, 0)
        running = [await stack.enter_async_context(gateway(replica, cache, redis)) for _ in range(gateways)]
        client = UpstreamPool()
        stack.push_async_callback(client.close)
        todo = iter([(chance.choice(running)[1], body_of(number)) for number in drawn])
        await asyncio.gather(*(_client(client, todo) for _ in range(AT_ONCE)))
        counts = [one._cache.counts for one, _ in running]  # noqa: SLF001 - the metrics page rounds nothing, but is text
    hits = sum(one.hits.total() for one in counts)
    saved = sum(one.saved_tokens for one in counts)
    return Saved(arm, skew, queries, model.calls, round(100 * hits / queries, 1), saved)


async def _client(client: UpstreamPool, todo: Iterator[tuple[int, bytes]]) -> None:
    for port, body in todo:
        headers = [("content-type", "application/json")]
        async with await client.request(HOST, port, "POST", names.PATH_CHAT, headers, body) as response:
            await response.read(1 << 20)
            if response.status != 200:
                raise RuntimeError(f"status {response.status}")


@asynccontextmanager
async def redis_url() -> AsyncIterator[str | None]:
    """Run a Redis without a disk, if there is one."""
    program = shutil.which("redis-server")
    if program is None:
        yield None
        return
    port = 16379
    arguments = ["--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]
    process = await asyncio.create_subprocess_exec(program, *arguments, stdout=asyncio.subprocess.DEVNULL)
    await asyncio.sleep(0.5)
    try:
        yield f"redis://{HOST}:{port}"
    finally:
        process.kill()
        await process.wait()


async def play(queries: int) -> list[Saved]:
    """Play all arms; each Redis arm has a database of its own."""
    done = []
    async with redis_url() as url:
        for number, skew in enumerate((0.7, 1.0, 1.3)):
            done.append(await savings("off", skew, queries, 1, None, None))
            done.append(await savings("memory, 1 gateway", skew, queries, 1, Cache(), None))
            done.append(await savings("memory, 2 gateways", skew, queries, 2, Cache(), None))
            if url is not None:
                shared = Cache(redis=REDIS)
                done.append(await savings("Redis, 2 gateways", skew, queries, 2, shared, f"{url}/{number}"))
    return done


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=5000)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    costs = {size: round(look_up_cost(size), 2) for size in (300, 4000)}
    for size, cost in costs.items():
        print(f"look-up of a hit, {size} characters: {cost} us of CPU")
    saved = asyncio.run(play(arguments.queries))
    print(f"{'arm':20} {'skew':>4} {'queries':>8} {'model calls':>12} {'hits':>7} {'saved tokens':>13}")
    for one in saved:
        found = f"{one.model_calls:12} {one.hits_percent:6}% {one.saved_tokens:13}"
        print(f"{one.arm:20} {one.skew:4} {one.queries:8} {found}")
    if arguments.out is not None:
        record = {"look_up_us": costs, "savings": [asdict(one) for one in saved]}
        arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
