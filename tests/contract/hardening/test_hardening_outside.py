"""Full disks and names that nobody resolves: the gateway's queries go on without what needs them."""

import asyncio
import os
import sys
from pathlib import Path

import orjson

from autoglm_api import names
from autoglm_api.cache import Cache, RedisCache, SecretKeyRef
from autoglm_api.gateway import AccessLog
from autoglm_transport.client import UpstreamPool
from support.gateways import chat_body, config, replica, running_gateway
from support.raw_http import HOST, eventually

REDIS = Cache(redis=RedisCache(url_secret_ref=SecretKeyRef(name="redis")))


async def test_a_full_disk_costs_lines_of_the_log_and_no_query(tmp_path: Path) -> None:
    settings = tmp_path / "gateway.json"
    settings.write_bytes(orjson.dumps(config(access_log=AccessLog.JSON).to_json()))
    client = UpstreamPool()
    async with replica() as light:
        arguments = ("--host", HOST, "--port", "0", "--admin-port", "0", "--config", str(settings))
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTOGLM_")}
        with Path("/dev/full").open("wb") as full:  # noqa: ASYNC230 - a device
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "autoglm_gateway", *arguments, "--endpoints", f"{HOST}:{light.port}=light"),
                stdout=full,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
            )
        try:
            assert process.stderr is not None
            words = (await process.stderr.readline()).decode().replace(",", "").split()
            port, admin_port = (int(word) for word in words if word.isdigit())

            async def ask(port: int, method: str, target: str, body: bytes = b"") -> bytes:
                async with await client.request(HOST, port, method, target, (), body) as response:
                    return await response.read(1_000_000)

            for _ in range(5):
                assert b"done" in await ask(port, "POST", names.PATH_CHAT, chat_body())

            async def told() -> bool:
                metrics = (await ask(admin_port, "GET", names.PATH_METRICS)).decode()
                return f"{names.METRIC_GATEWAY_ACCESS_LOG_DROPPED} 5.0" in metrics

            await eventually(told)
        finally:
            process.kill()
            await process.wait()
            await client.close()


async def test_a_redis_whose_name_is_not_resolved_costs_no_query() -> None:
    async with replica() as light, running_gateway(config(cache=REDIS), light=[light.port]) as gate:
        gate.gateway.fleet.use_redis("redis://nobody.invalid")
        answers = [await gate.send(body=chat_body(temperature=0)) for _ in range(3)]
        assert [answer.headers[names.HEADER_CACHE] for answer in answers] == ["miss", "miss", "hit"]
        redis = gate.gateway._cache._redis
        assert redis is not None
        await eventually(lambda: redis.errors > 0, 10)
        assert not redis.available
