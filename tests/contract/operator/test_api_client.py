"""The API client over a real socket: pages, preconditions, and every way in which a server can say no."""

import asyncio
from typing import Any

import pytest

from autoglm_api import names
from autoglm_operator.core.keys import ChildRef, ObjectKey
from autoglm_operator.shell.api import (
    APIError,
    ConflictError,
    NamespaceEndsError,
    NotFoundError,
    RefusedError,
)
from autoglm_operator.shell.resources import CHILDREN
from support.scripted_api import answering, connected
from support.scripted_http import reply, scripted

CONFIG_MAPS = CHILDREN["ConfigMap"]


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


async def test_a_list_that_cannot_be_merged_any_more_is_replaced() -> None:
    """Somebody changed our port's number: applying would give two ports of one name, which is invalid for ever."""
    service = _config_map() | {"spec": {"ports": [{"name": "http", "port": 80}]}}

    def answer(_: str, body: Any) -> tuple[int, Any]:
        applied = "apiVersion" in body
        return (422, {"message": "Duplicate value"}) if applied else (200, {})

    async with answering(answer) as (api, server):
        await api.apply(service, "uid-1")
    (_, _), (line, body) = server.requests
    assert line.endswith("application/merge-patch+json")
    assert (body["metadata"]["uid"], body["spec"]) == ("uid-1", service["spec"])


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
