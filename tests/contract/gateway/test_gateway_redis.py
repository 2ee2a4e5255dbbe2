"""The second level of the cache: a real Redis that two gateways share, and that fails in every way."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from kubernetes.aio import client

from autoglm_api import names
from autoglm_api.cache import Cache, RedisCache, SecretKeyRef
from autoglm_gateway.cache.entry import Entry
from autoglm_gateway.cache.redis_store import RedisStore, target_of
from autoglm_gateway.cluster import follow_cluster
from autoglm_gateway.fleet import Fleet
from autoglm_transport.limits import Limits
from autoglm_transport.server import HttpServer
from support.config_api import ApiServer
from support.gateways import GatewayUnderTest, chat_body, config, replica, running_gateway
from support.raw_http import HOST, eventually
from support.redis_server import RedisServer, redis_server

REDIS = Cache(redis=RedisCache(url_secret_ref=SecretKeyRef(name="redis", key="url")))
ENTRY = Entry(b"answer", (("content-type", "text/plain"),), stream=False, tokens=3, stored_at=time.time())
SECRET = b"s" * 32


@asynccontextmanager
async def gateway(server: RedisServer, port: int) -> AsyncIterator[GatewayUnderTest]:
    async with running_gateway(config(cache=REDIS), light=[port]) as gate:
        gate.gateway.fleet.use_redis(server.url)
        redis = gate.gateway._cache._redis
        assert redis is not None
        await eventually(lambda: redis.available)
        redis._deadline = 2.0  # the test's machine may be busy; what the deadline does is tested by itself
        yield gate


async def told(gate: GatewayUnderTest) -> str:
    answer = await gate.send(body=chat_body(temperature=0))
    assert answer.status == 200
    return answer.headers[names.HEADER_CACHE]


async def test_gateways_share_answers_and_redis_sees_neither_questions_nor_tenants() -> None:
    async with redis_server() as server, replica() as light:
        async with gateway(server, light.port) as one, gateway(server, light.port) as two:
            assert [await told(one) for _ in range(2)] == ["miss", "miss"]
            await eventually(lambda: one.gateway._cache.counts.stored == 1)
            assert await told(two) == "hit"
            assert len(light.requests) == 2
            metrics = (await two.send("GET", names.PATH_METRICS, admin=True)).body.decode()
        key = await server.ask("KEYS", "*")
        assert key.startswith("autoglm:shop/shop-assistant:r1:")
        assert 590_000 < int(await server.ask("PTTL", key)) <= 600_000
        assert "lamp" not in key + await server.ask("GET", key)
    assert f'{names.METRIC_GATEWAY_CACHE_HITS}{{level="redis"}} 1.0' in metrics
    assert f"{names.METRIC_GATEWAY_CACHE_REDIS} 1.0" in metrics


async def test_what_somebody_else_wrote_is_never_answered() -> None:
    async with redis_server() as server, replica() as light, gateway(server, light.port) as one:
        for _ in range(2):
            await told(one)
        key = await server.ask("KEYS", "*")
        await server.ask("SET", key, "forged")
        async with gateway(server, light.port) as two:
            assert await told(two) == "miss"


async def test_a_redis_that_hangs_costs_milliseconds_and_soon_nothing() -> None:
    async with redis_server() as server:
        store = RedisStore(target_of(server.url), SECRET, "t:")
        store.connect()
        await eventually(lambda: store.available)
        store.put(b"k", "r1", ENTRY, 60)
        await seen(store, ENTRY)
        server.freeze()
        took = []
        while store.available:
            took.append(await timed(store))
        assert max(took) < 0.2
        assert 0.4 < sum(took) < 3
        errors = store.errors
        await timed(store)
        assert store.errors == errors, "the circuit breaker lets no more calls through"
        server.thaw()
        await seen(store, ENTRY, seconds=10)
        assert store.available
        await store.close()


async def seen(store: RedisStore, entry: Entry, seconds: float = 3) -> None:
    async def found() -> bool:
        return await store.get(b"k", "r1") == entry

    await eventually(found, seconds)


async def timed(store: RedisStore) -> float:
    began = time.perf_counter()
    assert await store.get(b"k", "r1") is None
    return time.perf_counter() - began


async def test_queries_go_on_while_redis_is_gone_and_find_it_again() -> None:
    async with redis_server() as first, replica() as light, gateway(first, light.port) as gate:
        await first.stop()
        assert [await told(gate) for _ in range(3)] == ["miss", "miss", "hit"], "the first level works without"
        redis = gate.gateway._cache._redis
        assert redis is not None
        async with redis_server(first.port):

            async def back() -> bool:
                await redis.get(b"k", "r1")
                return redis.available

            await eventually(back, 10)


async def test_full_and_wrong_data_are_no_answer_and_close_nothing() -> None:
    async with redis_server(0, "--maxmemory", "1", "--maxmemory-policy", "noeviction") as server:
        store = RedisStore(target_of(server.url), SECRET, "t:")
        store.connect()
        await eventually(lambda: store.available)
        store.put(b"k", "r1", ENTRY, 60)
        await eventually(lambda: store.errors == 1)
        assert store.available
        await server.ask("CONFIG", "SET", "maxmemory", "0")
        await server.ask("LPUSH", "t:r1:" + b"k".hex(), "x")
        assert await store.get(b"k", "r1") is None
        await store.close()


async def test_a_cancelled_look_up_does_not_shift_the_answers_of_others() -> None:
    async with redis_server() as server:
        store = RedisStore(target_of(server.url), SECRET, "t:", deadline=1.0)
        store.connect()
        await eventually(lambda: store.available)
        store.put(b"k", "r1", ENTRY, 60)
        await seen(store, ENTRY)
        lost = asyncio.create_task(store.get(b"k", "r1"))
        await asyncio.sleep(0)
        lost.cancel()
        assert await store.get(b"other", "r1") is None
        assert await store.get(b"k", "r1") == ENTRY
        await store.close()


async def test_a_wrong_password_is_an_error_and_no_crash() -> None:
    async with (
        redis_server() as server,
        replica() as light,
        running_gateway(config(cache=REDIS), light=[light.port]) as gate,
    ):
        gate.gateway.fleet.use_redis(server.url.replace("open-sesame", "wrong"))
        redis = gate.gateway._cache._redis
        assert redis is not None
        await eventually(lambda: redis.errors > 0)
        assert [await told(gate) for _ in range(3)] == ["miss", "miss", "hit"]
        gate.gateway.fleet.use_redis("nonsense")
        assert gate.gateway._cache._redis is None


async def test_the_url_is_followed_in_its_secret() -> None:
    server = ApiServer()
    http_server = HttpServer(server.handle, Limits())
    port = await http_server.start(HOST, 0)
    urls: list[str | None] = []

    async def access(settings: client.Configuration) -> None:
        settings.host = f"http://{HOST}:{port}"

    def put(url: str) -> None:
        server.put("redis", url=base64.b64encode(url.encode()).decode())

    put("redis://one")
    server.put("gate", gateway_json=json.dumps(config(cache=REDIS).to_json()))
    following = asyncio.create_task(
        follow_cluster(
            Fleet(use_redis=urls.append), namespace="shop", deployment="d", config_map="gate", load_access=access
        )
    )
    try:
        await eventually(lambda: urls == ["redis://one"], 20)
        put("redis://two")
        await eventually(lambda: urls[-1:] == ["redis://two"], 20)
    finally:
        following.cancel()
        await asyncio.wait([following])
        await http_server.close()
