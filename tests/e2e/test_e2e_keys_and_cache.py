"""API keys from a Secret, the answer cache with a real Redis, and TLS, on one shop of real pods.

The tests are in order: the first ones open the shop to callers with keys, the last one changes its port to TLS.
"""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from autoglm_api import names
from autoglm_api.keys import hash_of
from autoglm_localcluster.cluster import Cluster
from support import certificates
from support.node_redis import NodeRedis, node_redis
from support.shops import NAME, Opener, Shop, eventually, pool, secret

pytestmark = pytest.mark.e2e

KEYS = {name: f"agk-{name}-of-the-test" for name in ("blue", "blue-new", "red")}
QUESTION = "What does the desk lamp cost?"
FOLLOWS_SECONDS = 60


@dataclass(frozen=True)
class Caller:
    """Asks the shop with one key."""

    shop: Shop
    key: str | None

    async def ask(self, question: str = QUESTION, *, system: str = "", **headers: str) -> httpx.Response:
        """Send one query that the cache may answer."""
        if self.key is not None:
            headers["authorization"] = f"Bearer {self.key}"
        told = [{"role": "system", "content": system}] if system else []
        messages = [*told, {"role": "user", "content": question}]
        body = {"model": NAME, "messages": messages, "temperature": 0}
        url = await asyncio.to_thread(lambda: self.shop.url)
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            return await client.post(f"{url}{names.PATH_CHAT}", json=body, headers=headers)

    async def cached(self, question: str = QUESTION) -> str:
        """What the gateway says of its cache."""
        answer = await self.ask(question)
        assert answer.status_code == 200, answer.text
        return answer.headers[names.HEADER_CACHE]


def keys_secret(shop: Shop, **valid: list[str]) -> str:
    """The Secret with one entry per caller: the names of its keys that are valid."""
    entries = {
        tenant: json.dumps({"hashes": [hash_of(KEYS[name]) for name in keyed], "tenant": tenant})
        for tenant, keyed in valid.items()
    }
    return secret(shop.namespace, "shop-keys", entries)


@pytest.fixture(scope="module")
def redis(product: Cluster) -> Iterator[NodeRedis]:
    with node_redis(product) as server:
        yield server


@pytest.fixture(scope="module")
def shop(open_shop: Opener, redis: NodeRedis) -> Shop:
    opened = open_shop("one", pool("light", "Simple", 1, 1), pool("large", "Complex", 1, 1))
    opened.cluster.apply(keys_secret(opened, blue=["blue"], red=["red"]))
    opened.cluster.apply(secret(opened.namespace, "shop-redis", {"url": redis.url}))
    auth = {"apiKeysSecretRef": {"name": "shop-keys"}}
    cache = {"redis": {"urlSecretRef": {"name": "shop-redis", "key": "url"}}}
    asyncio.run(
        opened.patch(
            {"op": "add", "path": "/spec/gateway/auth", "value": auth},
            {"op": "add", "path": "/spec/cache", "value": cache},
        )
    )
    return opened


@pytest.fixture
def blue(shop: Shop) -> Caller:
    return Caller(shop, KEYS["blue"])


@pytest.fixture
def red(shop: Shop) -> Caller:
    return Caller(shop, KEYS["red"])


async def answers(caller: Caller, status: int) -> None:
    """Wait until the gateway, which follows the Secret, answers a caller in this way."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + FOLLOWS_SECONDS
    while (answer := await caller.ask()).status_code != status:
        assert loop.time() < deadline, answer.text
        await asyncio.sleep(0.2)


def started(shop: Shop) -> set[tuple[str, int]]:
    """The gateway's pods and how often their containers were started again."""
    pods = shop.pods(names.COMPONENT_GATEWAY)
    return {(pod["metadata"]["uid"], pod["status"]["containerStatuses"][0]["restartCount"]) for pod in pods}


async def metric(shop: Shop, name: str) -> float:
    """Sum of a metric over its labels, of the one gateway."""
    (pod,) = shop.pods(names.COMPONENT_GATEWAY)
    url = f"http://{pod['status']['podIP']}:{names.GATEWAY_ADMIN_PORT}{names.PATH_METRICS}"
    async with httpx.AsyncClient(trust_env=False) as client:
        page = (await client.get(url)).text
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(name))


async def test_only_callers_with_a_key_of_the_secret_are_answered(shop: Shop, blue: Caller, red: Caller) -> None:
    await answers(Caller(shop, None), 401)
    await answers(blue, 200)
    await answers(red, 200)
    assert (await Caller(shop, "agk-guessed").ask()).status_code == 401
    assert (await Caller(shop, None).ask()).json()["error"]["code"] == "invalid_api_key"


async def test_the_same_tenant_hits_and_another_one_misses(
    shop: Shop, blue: Caller, red: Caller, redis: NodeRedis
) -> None:
    await eventually(lambda: "1" in redis.ask("CLIENT", "LIST"), "the gateway at Redis", 30)
    question = "What does the blue mug cost?"
    assert [await blue.cached(question) for _ in range(3)] == ["miss", "miss", "hit"]
    assert await red.cached(question) == "miss", "another tenant must not see that it was asked"
    assert await blue.cached(question) == "hit"
    assert await metric(shop, names.METRIC_GATEWAY_CACHE_HITS) >= 2
    await eventually(lambda: redis.ask("DBSIZE") != "0", "an answer in Redis", 10)
    assert "mug" not in redis.ask("KEYS", "*")


async def test_a_new_gateway_pod_finds_answers_in_redis_for_their_tenant_only(
    shop: Shop, blue: Caller, red: Caller
) -> None:
    questions = [f"What does the red kettle number {number} cost?" for number in range(8)]
    for question in questions:
        assert [await blue.cached(question) for _ in range(3)] == ["miss", "miss", "hit"]
    before = started(shop)
    await asyncio.to_thread(shop.kubectl, "delete", "pod", "-l", f"{names.LABEL_COMPONENT}={names.COMPONENT_GATEWAY}")
    await shop.wait_pods(names.COMPONENT_GATEWAY, 1)
    await asyncio.to_thread(shop.wait_reachable)
    assert not started(shop) & before
    await answers(blue, 200)
    while await metric(shop, names.METRIC_GATEWAY_CACHE_REDIS) == 0:  # noqa: ASYNC110 - nothing tells
        await asyncio.sleep(0.2)
    assert [await red.cached(question) for question in questions] == ["miss"] * len(questions)
    # This process has never seen the questions. On a crowded machine some look-ups take longer than their 5 ms.
    assert "hit" in [await blue.cached(question) for question in questions]
    assert await metric(shop, f'{names.METRIC_GATEWAY_CACHE_HITS}{{level="redis"}}') >= 1


async def test_keys_are_rotated_and_revoked_without_a_restart(shop: Shop, blue: Caller, red: Caller) -> None:
    before = started(shop)
    fresh = Caller(shop, KEYS["blue-new"])
    assert (await fresh.ask()).status_code == 401
    await asyncio.to_thread(shop.cluster.apply, keys_secret(shop, blue=["blue", "blue-new"], red=["red"]))
    await answers(fresh, 200)
    assert (await blue.ask()).status_code == 200, "the old key still counts"
    await asyncio.to_thread(shop.cluster.apply, keys_secret(shop, blue=["blue-new"], red=["red"]))
    await answers(blue, 401)
    assert [(await one.ask()).status_code for one in (fresh, red)] == [200, 200]
    assert started(shop) == before


async def test_headers_for_tier_and_class_count_as_far_as_the_key_allows(shop: Shop) -> None:
    fresh = Caller(shop, KEYS["blue-new"])
    batch = await fresh.ask(**{names.HEADER_TIER: "Batch"})
    assert (batch.status_code, batch.headers[names.HEADER_TIER]) == (200, "Batch")
    assert (await fresh.ask(**{names.HEADER_TIER: "Urgent"})).headers[names.HEADER_TIER] == "Normal"
    assert (await fresh.ask(**{names.HEADER_CLASS: "Complex"})).status_code == 403
    late = await fresh.ask(**{names.HEADER_DEADLINE: "0"})
    assert (late.status_code, late.json()["error"]["code"]) == (504, "deadline_exceeded")


async def test_prefix_affinity_sends_a_system_prompt_to_the_replica_that_has_seen_it(shop: Shop) -> None:
    """Two replicas: the queries of one system prompt all go to one of them, as their own counters say."""
    await shop.patch(
        {"op": "replace", "path": "/spec/pools/0/scaling/minReplicas", "value": 2},
        {"op": "replace", "path": "/spec/pools/0/scaling/maxReplicas", "value": 2},
        {"op": "add", "path": "/spec/queue", "value": {"prefixAffinity": True}},
    )
    await shop.wait_pods(names.COMPONENT_WORKER, 2, "light", within_seconds=120)
    await asyncio.sleep(names.ENDPOINT_PROPAGATION_SECONDS)
    before = await answered(shop)
    for number in range(8):
        reply = await Caller(shop, KEYS["blue-new"]).ask(f"What does lamp {number} cost?", system="Be brief.")
        assert (reply.status_code, reply.headers[names.HEADER_POOL]) == (200, "light")
    after = await answered(shop)
    assert sorted(after[pod] - before[pod] for pod in before) == [0, 8]


async def answered(shop: Shop) -> dict[str, float]:
    """How many queries each replica of pool light has answered, by its own count."""
    counts = {}
    for pod in shop.pods(names.COMPONENT_WORKER, "light"):
        address = pod["status"]["podIP"]
        async with httpx.AsyncClient(trust_env=False) as client:
            page = (await client.get(f"http://{address}:{names.WORKER_ADMIN_PORT}{names.PATH_METRICS}")).text
        lines = [line for line in page.splitlines() if line.startswith(names.METRIC_NODE_QUERIES + "{")]
        counts[address] = sum(float(line.split()[-1]) for line in lines)
    return counts


def shown(address: tuple[str, int], trusted: certificates.Pair) -> int:
    """Serial number of the certificate that the gateway shows to a client that trusts only this one; 0: none."""
    try:
        with httpx.Client(verify=trusted.trusting(), trust_env=False) as client:
            host, port = address
            url = f"https://{host}:{port}{names.PATH_MODELS}"
            client.get(url, headers={"host": certificates.NAME}, extensions={"sni_hostname": certificates.NAME})
    except httpx.TransportError:
        return 0
    return trusted.serial


async def test_tls_from_a_secret_and_its_next_certificate_without_a_restart(shop: Shop) -> None:
    first, second = certificates.pair(), certificates.pair()
    kind = "kubernetes.io/tls"
    await asyncio.to_thread(shop.cluster.apply, secret(shop.namespace, "shop-tls", first.entries, kind))
    await shop.patch({"op": "add", "path": "/spec/gateway/tls", "value": {"secretRef": {"name": "shop-tls"}}})
    await eventually(lambda: shown(shop.address, first) == first.serial, "the first certificate", 90)
    await shop.wait_pods(names.COMPONENT_GATEWAY, 1)
    before = started(shop)
    assert shop.get("agd", NAME)["status"]["url"].startswith("https://")
    await asyncio.to_thread(shop.cluster.apply, secret(shop.namespace, "shop-tls", second.entries, kind))
    await eventually(lambda: shown(shop.address, second) == second.serial, "the second certificate", 60)
    assert shown(shop.address, first) == 0
    broken = {**second.entries, names.TLS_CERTIFICATE_KEY: b"no certificate"}
    await asyncio.to_thread(shop.cluster.apply, secret(shop.namespace, "shop-tls", broken, kind))
    await asyncio.sleep(3)
    assert shown(shop.address, second) == second.serial, "the last good one stays"
    assert started(shop) == before
