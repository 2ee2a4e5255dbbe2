"""An API server on loopback whose every answer a test scripts, and our client of it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from kubernetes.aio import client

from autoglm_operator.shell.api import KubernetesAPI
from support.raw_streams import listening


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[KubernetesAPI]:
    """Give a client of that address."""
    api = KubernetesAPI(client.ApiClient(client.Configuration(host=url)))
    try:
        yield api
    finally:
        await api.close()


class Server:
    """Answers every request by a function of its line, headers and body, and remembers them."""

    def __init__(self, answer: Callable[[str, Any], tuple[int, Any]]) -> None:
        self.requests: list[tuple[str, Any]] = []
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request of one connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = (head.split(" HTTP")[0], json.loads(body) if body else None)
        self.requests.append((f"{request[0]} {headers.get('content-type', '')}", request[1]))
        status, content = self._answer(*request)
        text = json.dumps(content).encode()
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode() + text)
        await writer.drain()


@asynccontextmanager
async def answering(answer: Callable[[str, Any], tuple[int, Any]]) -> AsyncIterator[tuple[KubernetesAPI, Server]]:
    """Give a client and the server that it talks to."""
    server = Server(answer)
    async with listening(server.serve) as port, connected(f"http://127.0.0.1:{port}") as api:
        yield api, server
