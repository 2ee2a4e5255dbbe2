"""The API client over a real socket: pages, preconditions, and every way in which a server can say no."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from kubernetes.aio import client

from autoglm_api import names
from autoglm_operator.core.keys import ChildRef, ObjectKey
from autoglm_operator.shell.api import (
    APIError,
    ConflictError,
    KubernetesAPI,
    NamespaceEndsError,
    NotFoundError,
    RefusedError,
)
from autoglm_operator.shell.resources import CHILDREN
from support.scripted_http import reply, scripted

CONFIG_MAPS = CHILDREN["ConfigMap"]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[KubernetesAPI]:
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
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        headers = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        request = (head.split(" HTTP")[0], json.loads(body) if body else None)
        self.requests.append((f"{request[0]} {headers.get('content-type', '')}", request[1]))
        status, content = self._answer(*request)
        text = json.dumps(content).encode()
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode() + text)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def answering(answer: Callable[[str, Any], tuple[int, Any]]) -> AsyncIterator[tuple[KubernetesAPI, Server]]:
    server = Server(answer)
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    async with connected(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}") as api:
        try:
            yield api, server
        finally:
            listening.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RefusedError),
        (403, RefusedError),
        (404, NotFoundError),
        (409, ConflictError),
        (422, RefusedError),
        (429, APIError),
        (500, APIError),
        (503, APIError),
    ],
)
async def test_what_a_status_code_means(status: int, error: type[APIError]) -> None:
    async with answering(lambda *_: (status, {"message": "because"})) as (api, _), asyncio.timeout(10):
        with pytest.raises(APIError, match="because") as caught:
            await api.apply(_config_map(), None)
    assert type(caught.value) is error


async def test_a_namespace_that_ends_is_no_refusal_to_report() -> None:
    causes = [{"reason": "NamespaceTerminating", "message": "namespace a is being terminated"}]
    answer = {"message": "is being terminated", "details": {"causes": causes}}
    async with answering(lambda *_: (403, answer)) as (api, _):
        with pytest.raises(NamespaceEndsError):
            await api.apply(_config_map(), None)


@pytest.mark.parametrize("body", [b"<html>bad gateway</html>", b"[1]", b"{", b""])
async def test_an_answer_that_is_no_object_is_an_error(body: bytes) -> None:
    async with scripted(reply("200 OK", body)) as url, connected(url) as api:
        with pytest.raises(APIError):
            await api.get(CONFIG_MAPS, "a", "b")


async def test_nobody_there_is_an_error_that_says_so() -> None:
    async with connected("http://127.0.0.1:9") as api:
        with pytest.raises(APIError, match="cannot be reached"):
            await api.apply(_config_map(), None)


async def test_a_list_is_read_page_by_page() -> None:
    def pages(line: str, _: Any) -> tuple[int, Any]:
        second = "continue=more" in line
        return 200, {"metadata": {"continue": "" if second else "more"}, "items": [{"page": 2 if second else 1}]}

    async with answering(pages) as (api, server):
        assert await api.list(CONFIG_MAPS, "a", "x=y") == [{"page": 1}, {"page": 2}]
    assert "labelSelector=x%3Dy" in server.requests[1][0]


def _config_map() -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b", "namespace": "a"}}


async def test_an_apply_names_its_writer_and_the_object_it_means() -> None:
    async with answering(lambda *_: (200, {})) as (api, server):
        await api.apply(_config_map(), "uid-1")
    line, body = server.requests[0]
    assert line.startswith(f"PATCH /api/v1/namespaces/a/configmaps/b?fieldManager={names.FIELD_MANAGER}&force=true")
    assert line.endswith("application/apply-patch+yaml")
    assert body["metadata"]["uid"] == "uid-1"


async def test_a_size_is_written_through_the_scale_subresource_only() -> None:
    async with answering(lambda *_: (200, {})) as (api, server):
        await api.scale("a", ChildRef("Deployment", "b"), 3)
    line, body = server.requests[0]
    assert f"/deployments/b/scale?fieldManager={names.FIELD_MANAGER_SCALE}" in line
    assert body["spec"] == {"replicas": 3}


async def test_a_deletion_is_of_one_object_and_no_other_and_may_be_late() -> None:
    async with answering(lambda *_: (404, {"message": "gone"})) as (api, server):
        await api.delete("a", ChildRef("Service", "b"), "uid-1")
    assert server.requests[0][1]["preconditions"] == {"uid": "uid-1"}


async def test_a_status_belongs_to_the_resource_that_it_was_derived_from() -> None:
    async with answering(lambda *_: (200, {})) as (api, server):
        await api.apply_status(ObjectKey("a", "b"), "uid-1", {"url": "x"})
    line, body = server.requests[0]
    assert f"{names.PLURAL}/b/status?fieldManager={names.FIELD_MANAGER_STATUS}" in line
    assert (body["metadata"]["uid"], body["status"]) == ("uid-1", {"url": "x"})
