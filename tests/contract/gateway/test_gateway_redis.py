"""The second level of the cache: a real Redis that two gateways share, and that fails in every way."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from kubernetes.aio import client

from autoglm_api import names
from autoglm_api.cache import Cache, RedisCache, SecretKeyRef
from autoglm_gateway.cache.entry import Entry
from autoglm_gateway.cache.redis_store import RedisStore, target_of
from autoglm_gateway.cluster import follow_cluster
from autoglm_gateway.fleet import Fleet
from autoglm_transport.limits import Limits
from autoglm_transport.server import HttpServer
from support.certificates import pair
from support.config_api import ApiServer
from support.gateways import GatewayUnderTest, chat_body, config, replica, running_gateway
from support.prometheus import free_port
from support.raw_http import HOST, eventually
from support.raw_streams import listening
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


async def test_a_server_that_accepts_and_says_nothing_is_not_taken_for_one_that_is_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the kernel of a stopped server does; without password and database nothing else asks it anything."""
    monkeypatch.setattr("autoglm_gateway.cache.redis_store._CONNECT_SECONDS", 0.1)

    async def mute(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with listening(mute) as port:
        store = RedisStore(target_of(f"redis://{HOST}:{port}"), SECRET, "t:")
        store.connect()
        await eventually(lambda: store.errors == 1)
        assert not store.available
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


@asynccontextmanager
async def open_store(server: RedisServer, deadline: float = 2.0) -> AsyncIterator[RedisStore]:
    store = RedisStore(target_of(server.url), SECRET, "t:", deadline=deadline)
    store.connect()
    await eventually(lambda: store.available)
    yield store
    await store.close()


async def test_many_look_ups_at_once_share_a_connection_and_each_gets_its_own_answer() -> None:
    async with redis_server() as server, open_store(server) as store:
        entries = {b"%d" % number: replace(ENTRY, body=b"answer %d" % number) for number in range(0, 200, 2)}
        for key, entry in entries.items():
            store.put(key, "r1", entry, 60)
        keys = [b"%d" % number for number in range(200)]
        found = await asyncio.gather(*(store.get(key, "r1") for key in keys))
        assert found == [entries.get(key) for key in keys]
        clients = await server.ask("CLIENT", "LIST")
        assert sum(" db=1 " in line and "cmd=client" not in line for line in clients.splitlines()) == 1


async def test_some_that_give_up_move_nobody_elses_answer() -> None:
    async with redis_server() as server, open_store(server) as store:
        for number in range(50):
            store.put(b"%d" % number, "r1", replace(ENTRY, body=b"answer %d" % number), 60)
        asked = [asyncio.create_task(store.get(b"%d" % number, "r1")) for number in range(50)]
        await asyncio.sleep(0)
        for one in asked[::3]:
            one.cancel()
        kept = [(number, await one) for number, one in enumerate(asked) if number % 3]
        assert all(entry is not None and entry.body == b"answer %d" % number for number, entry in kept)
        assert store.available


async def test_of_a_huge_foreign_value_little_is_fetched() -> None:
    async with redis_server() as server, open_store(server) as store:
        await server.ask("SETRANGE", "t:r1:" + b"k".hex(), "50000000", "x")
        before = await sent_by(server)
        assert await store.get(b"k", "r1") is None
        assert await sent_by(server) - before < 1_000_000
        assert (store.available, store.errors) == (True, 0)


async def sent_by(server: RedisServer) -> int:
    stats = dict(line.split(":") for line in (await server.ask("INFO", "stats")).split() if ":" in line)
    return int(stats["total_net_output_bytes"])


async def test_what_redis_does_not_take_in_time_is_dropped_and_bounded() -> None:
    async with redis_server() as server, open_store(server, deadline=0.005) as store:
        server.freeze()
        large = replace(ENTRY, body=b"x" * 60_000)
        for number in range(100):
            store.put(b"%d" % number, "r1", large, 60)
        assert store._line_bytes <= 1_048_576
        assert store.errors >= 100 - 1_048_576 // 60_000
        server.thaw()


async def test_a_connection_that_is_lost_with_questions_open_fails_them_and_is_made_anew() -> None:
    async with redis_server() as server, open_store(server) as store:
        store.put(b"k", "r1", ENTRY, 60)
        await seen(store, ENTRY)
        server.freeze()
        asked = [asyncio.create_task(store.get(b"k", "r1")) for _ in range(3)]
        await asyncio.wait(asked)  # given up after a second, which is before this test's deadline
        assert [one.result() for one in asked] == [None] * 3
        assert not store.available
        server.thaw()
        await seen(store, ENTRY, seconds=10)


async def test_over_tls_a_certificate_that_is_not_trusted_is_no_redis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, other = pair(), pair()
    files = {"--tls-cert-file": shown.certificate, "--tls-key-file": shown.key, "trusted": shown.certificate}
    files["foreign"] = other.certificate
    for name, text in files.items():
        (tmp_path / name).write_bytes(text)
    tls_port = free_port()
    options = [word for name in list(files)[:2] for word in (name, str(tmp_path / name))]
    options += [
        "--tls-port",
        str(tls_port),
        "--tls-auth-clients",
        "no",
        "--tls-ca-cert-file",
        str(tmp_path / "trusted"),
    ]
    async with redis_server(0, *options):
        for trusted, found in (("foreign", False), ("trusted", True)):
            monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / trusted))
            target = target_of(f"rediss://:open-sesame@localhost:{tls_port}/1")
            store = RedisStore(target, SECRET, "t:", deadline=2.0)
            store.connect()
            await eventually(lambda store=store: store.available or store.errors > 0)
            assert store.available == found
            if found:
                store.put(b"k", "r1", ENTRY, 60)
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
