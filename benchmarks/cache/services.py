"""What the measurements of the cache run: gateways and Redis as processes, and a model in this one."""

import asyncio
import json
import re
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from autoglm_api import names
from autoglm_api.cache import Cache
from autoglm_api.config import GatewayConfig, GatewayPool
from autoglm_api.spec import QueryClass
from autoglm_transport.client import UpstreamPool
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import HttpServer

HOST: Final = "127.0.0.1"
ANSWER: Final = orjson.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "14 euros"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 60, "completion_tokens": 4},
    }
)
_JSON: Final = [("content-type", "application/json")]


def body_of(number: int, size: int = 300) -> bytes:
    """Return a query of about that many characters."""
    text = f"Question {number}: " + "how much is the lamp with the shade? " * (size // 37)
    messages = [{"role": "user", "content": text[:size]}]
    return orjson.dumps({"model": "shop", "messages": messages, "temperature": 0, "max_tokens": 64})


@dataclass
class Model:
    """A replica that takes a while and counts."""

    seconds: float
    calls: int = 0

    async def __call__(self, request: Request, responder: Responder) -> None:
        """Answer."""
        del request
        self.calls += 1
        await asyncio.sleep(self.seconds)
        await responder.send(200, _JSON, ANSWER)


@asynccontextmanager
async def served(model: Model) -> AsyncIterator[int]:
    """Serve the model on a free port."""
    server = HttpServer(model, Limits())
    try:
        yield await server.start(HOST, 0)
    finally:
        await server.close()


@dataclass
class Gateway:
    """A gateway in a process of its own."""

    port: int
    admin_port: int
    client: UpstreamPool

    async def ask(self, body: bytes) -> str:
        """Ask, and return what the cache did; raises RuntimeError for anything but an answer."""
        async with await self.client.request(HOST, self.port, "POST", names.PATH_CHAT, _JSON, body) as response:
            await response.read(1 << 20)
            if response.status != 200:
                raise RuntimeError(f"status {response.status}")
            return response.headers.get(names.HEADER_CACHE) or "off"

    async def figure(self, name: str, **labels: str) -> float:
        """Return a number from its metrics; the sum over all labels that are not given."""
        async with await self.client.request(HOST, self.admin_port, "GET", "/metrics") as response:
            page = (await response.read(1 << 22)).decode()
        lines = re.findall(rf"^{name}(?:{{(.*)}})? (\S+)$", page, re.MULTILINE)
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(float(value) for given, value in lines if all(one in given for one in wanted))


@asynccontextmanager
async def gateway(model_port: int, cache: Cache | None, redis: str | None) -> AsyncIterator[Gateway]:
    """Run `python -m autoglm_gateway` before the model."""
    pools = [
        GatewayPool(name=name, serves=serves, model_name=f"glm-{name}", concurrency_per_replica=64)
        for name, serves in (("light", QueryClass.SIMPLE), ("large", QueryClass.COMPLEX))
    ]
    config = GatewayConfig(deployment="shop", namespace="bench", pools=pools, cache=cache, max_body_bytes=1 << 20)
    replicas = [{"address": f"{HOST}:{model_port}", "pool": pool.name, "revision": "r1"} for pool in pools]
    with tempfile.TemporaryDirectory() as directory:
        files = {name: Path(directory) / name for name in ("config", "endpoints", "redis")}
        files["config"].write_text(config.model_dump_json(by_alias=True))
        files["endpoints"].write_text(json.dumps({"replicas": replicas}))
        files["redis"].write_text(redis or "")
        given = [word for name, path in files.items() if name != "redis" or redis for word in (f"--{name}", str(path))]
        ports = ["--host", HOST, "--port", "0", "--admin-port", "0", "--propagation-seconds", "0"]
        command = [sys.executable, "-m", "autoglm_gateway", *ports, *given]
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        client = UpstreamPool()
        try:
            yield await _ready(process, client, redis)
        finally:
            await client.close()
            process.kill()
            await process.communicate()


async def _ready(process: asyncio.subprocess.Process, client: UpstreamPool, redis: str | None) -> Gateway:
    if process.stderr is None:
        raise TypeError(process)
    line = (await process.stderr.readline()).decode()
    found = re.search(r"serving on port (\d+), admin on port (\d+)", line)
    if found is None:
        sys.exit(line)
    made = Gateway(int(found[1]), int(found[2]), client)
    for _ in range(100 if redis else 0):
        if await made.figure(names.METRIC_GATEWAY_CACHE_REDIS):
            return made
        await asyncio.sleep(0.05)
    return made


@dataclass
class Redis:
    """A Redis without a disk."""

    url: str
    process: asyncio.subprocess.Process

    def freeze(self) -> None:
        """Let it hang: its connections stay, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)


@asynccontextmanager
async def redis_server(port: int | None = None) -> AsyncIterator[Redis]:
    """Run a Redis (Debian: `apt-get install redis-server`); ends the program where there is none."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("redis-server is not installed")
    if port is None:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
    arguments = ["--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]
    process = await asyncio.create_subprocess_exec(program, *arguments, stdout=asyncio.subprocess.DEVNULL)
    try:
        for _ in range(100):
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                break
        yield Redis(f"redis://{HOST}:{port}", process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
