"""The gateway as a process: files as its source, SIGTERM as its end."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

from autoglm_api import names
from autoglm_transport.client import UpstreamPool
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import answer_name, chat_body, config, replica
from support.raw_http import HOST, eventually


@asynccontextmanager
async def gateway_process(*arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, int, int]]:
    """A gateway process and its two ports."""
    command = (sys.executable, "-m", "autoglm_gateway", "--host", HOST, "--port", "0", "--admin-port", "0", *arguments)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTOGLM_")}
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environment)
    assert process.stderr is not None
    try:
        line = await process.stderr.readline()
        found = re.search(rb"port (\d+), admin on port (\d+)", line)
        assert found is not None, line + await process.stderr.read()
        yield process, int(found[1]), int(found[2])
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def write(path: Path, text: bytes) -> Path:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(text)
    return fresh.rename(path)


async def status(client: UpstreamPool, port: int, method: str, target: str, body: bytes = b"") -> int:
    async with await client.request(HOST, port, method, target, (), body) as response:
        await response.read(1_000_000)
        return response.status


async def test_files_are_followed_and_sigterm_drains(tmp_path: Path) -> None:
    finish = asyncio.Event()

    async def held(request: Request, responder: Responder) -> None:
        await finish.wait()
        await answer_name(request, responder)

    settings = write(tmp_path / "gateway.json", orjson.dumps(config().to_json()))
    endpoints = write(tmp_path / "endpoints.json", b'{"replicas": []}')
    client = UpstreamPool()
    options = ("--config", str(settings), "--endpoints", str(endpoints), "--propagation-seconds", "0.3")
    async with replica(held) as light, gateway_process(*options) as (process, port, admin):
        await eventually(lambda: is_ready(client, admin))
        query = asyncio.create_task(status(client, port, "POST", names.PATH_CHAT, chat_body()))
        found = {"replicas": [{"address": f"{HOST}:{light.port}", "pool": "light"}]}
        write(endpoints, orjson.dumps(found))
        await eventually(lambda: light.in_flight == 1)
        process.send_signal(signal.SIGTERM)
        await eventually(lambda: is_unready(client, admin))
        assert await status(client, port, "GET", names.PATH_MODELS) == 200  # still serving newcomers
        await asyncio.sleep(0.4)
        finish.set()
        assert (await query, await process.wait()) == (200, 0)
    await client.close()


async def is_ready(client: UpstreamPool, admin: int) -> bool:
    return await status(client, admin, "GET", names.PATH_READYZ) == 200


async def is_unready(client: UpstreamPool, admin: int) -> bool:
    return await status(client, admin, "GET", names.PATH_READYZ) == 503


async def test_without_a_pod_s_environment_it_says_what_is_missing() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AUTOGLM_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "autoglm_gateway", stderr=asyncio.subprocess.PIPE, env=environment
    )
    _, error = await process.communicate()
    assert process.returncode == 1
    assert names.ENV_DEPLOYMENT.encode() in error
