"""The gateway's list and watch against a scripted API server: the faults a real one shows too rarely."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson
from kubernetes.aio import client

from autoglm_gateway import watching
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import HttpServer
from support.raw_http import HOST, eventually


def config_map(name: str, version: int, value: str = "") -> dict[str, Any]:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "data": {"value": value}}


@dataclass
class ApiServer:
    """Answers lists with `items` and watches with the scripts, one script per watch, then silence."""

    items: list[dict[str, Any]]
    scripts: list[list[bytes]] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)
    list_status: int = 200

    async def handle(self, request: Request, responder: Responder) -> None:
        self.queries.append(request.query)
        if "watch=true" not in request.query:
            body = {"metadata": {"resourceVersion": "10"}, "items": self.items, "message": "no"}
            await responder.send(self.list_status, [("content-type", "application/json")], orjson.dumps(body))
            return
        responder.start(200, [("content-type", "application/json")])
        for piece in self.scripts.pop(0) if self.scripts else []:
            await responder.write(piece)
            await asyncio.sleep(0.001)
        if not self.scripts:
            await asyncio.sleep(60)
        await responder.end()


def event(kind: str, item: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": kind, "object": item}) + b"\n"


@asynccontextmanager
async def followed(server: ApiServer) -> AsyncIterator[list[list[str]]]:
    """Follow the server's ConfigMaps; the list grows by the values of each snapshot."""
    snapshots: list[list[str]] = []
    http = HttpServer(server.handle, Limits())
    port = await http.start(HOST, 0)
    api = client.ApiClient(client.Configuration(host=f"http://{HOST}:{port}"))
    call = partial(client.CoreV1Api(api).list_namespaced_config_map_without_preload_content, "shop")
    task = asyncio.create_task(
        watching.follow(call, lambda found: snapshots.append(sorted(item["data"]["value"] for item in found)))
    )
    try:
        yield snapshots
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await api.close()
        await http.close()


async def test_list_then_changes() -> None:
    script = [
        event("ADDED", config_map("b", 11, "2")),
        event("MODIFIED", config_map("a", 12, "3")),
        event("BOOKMARK", config_map("", 13)),
        event("DELETED", config_map("b", 14)),
    ]
    async with followed(ApiServer([config_map("a", 9, "1")], [script])) as snapshots:
        await eventually(lambda: snapshots == [["1"], ["1", "2"], ["2", "3"], ["3"]])


async def test_events_may_come_in_pieces_and_be_long() -> None:
    long = "x" * 300_000
    data = event("ADDED", config_map("b", 11, long)) + event("ADDED", config_map("c", 12, "y"))
    script = [data[:5], data[5:100_000], data[100_000:]]
    async with followed(ApiServer([], [script])) as snapshots:
        await eventually(lambda: snapshots == [[], [long], [long, "y"]])


async def test_a_watch_that_ends_goes_on_from_the_bookmark() -> None:
    server = ApiServer([], [[event("BOOKMARK", config_map("", 15))], [event("ADDED", config_map("a", 16, "1"))]])
    async with followed(server) as snapshots:
        await eventually(lambda: snapshots == [[], ["1"]])
        assert "resourceVersion=15" in server.queries[2]


async def test_an_expired_version_lists_anew() -> None:
    gone = orjson.dumps({"type": "ERROR", "object": {"code": 410, "message": "too old"}}) + b"\n"
    server = ApiServer([config_map("a", 9, "1")], [[gone], []])
    async with followed(server) as snapshots:
        await eventually(lambda: snapshots == [["1"]])
        server.items = [config_map("a", 20, "2")]
        await eventually(lambda: snapshots[-1:] == [["2"]])


async def test_refusals_are_waited_out() -> None:
    server = ApiServer([config_map("a", 9, "1")], list_status=403)
    async with followed(server) as snapshots:
        await eventually(lambda: len(server.queries) >= 1)
        assert snapshots == []
        server.list_status = 200
        await eventually(lambda: snapshots == [["1"]])


async def test_a_connection_attempt_that_uvloop_forbids_is_one_more_failed_attempt() -> None:
    snapshots: list[int] = []
    attempts = 0

    async def call(**_arguments: Any) -> Any:
        nonlocal attempts
        attempts += 1
        raise RuntimeError("File descriptor 9 is used by transport")

    task = asyncio.create_task(watching.follow(call, lambda found: snapshots.append(len(found))))
    await eventually(lambda: attempts >= 2)
    assert not task.done()
    assert snapshots == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
