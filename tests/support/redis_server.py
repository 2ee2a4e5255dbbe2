"""A real Redis on a free port of loopback, without a disk; stopped by its own process."""

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from support.prometheus import free_port
from support.raw_http import HOST, eventually


@dataclass
class RedisServer:
    """A running server."""

    port: int
    process: asyncio.subprocess.Process

    @property
    def url(self) -> str:
        """Its URL with the password."""
        return f"redis://:open-sesame@{HOST}:{self.port}/1"

    async def ask(self, *words: str) -> str:
        """Run one command with redis-cli in the gateway's database; empty when there is no answer."""
        arguments = ["-h", HOST, "-p", str(self.port), "-n", "1", "-a", "open-sesame", "--no-auth-warning", *words]
        client = await asyncio.create_subprocess_exec(
            "redis-cli", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        out, _ = await client.communicate()
        return out.decode("utf-8", "replace").strip()

    async def answers(self) -> bool:
        """Whether it is up."""
        return await self.ask("PING") == "PONG"

    def freeze(self) -> None:
        """Let it hang: connections stay, nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """End it."""
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@asynccontextmanager
async def redis_server(port: int = 0, *arguments: str) -> AsyncIterator[RedisServer]:
    """Start a server; skips the test where redis-server is not installed (Debian: redis-server)."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    port = port or free_port()
    settings = ["--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no", "--requirepass", "open-sesame"]
    process = await asyncio.create_subprocess_exec(
        program, *settings, *arguments, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    server = RedisServer(port, process)
    try:
        await eventually(server.answers, 10)
        yield server
    finally:
        await server.stop()
