"""Follows objects of the Kubernetes API: list, then watch with bookmarks, and list anew after an error."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import aiohttp
import orjson
from kubernetes.aio.client.exceptions import ApiException

log = logging.getLogger(__name__)

# One watch lasts this long by the server's clock; a connection that is dead without saying so costs at most that.
_WATCH_SECONDS: Final = 55
_MARGIN_SECONDS: Final = 10
_FIRST_PAUSE_SECONDS: Final = 0.2
_MAX_PAUSE_SECONDS: Final = 10.0

Object = dict[str, Any]
# A client function that returns the response itself (`..._without_preload_content`), bound to its fixed arguments.
Call = Callable[..., Awaitable[Any]]
# RuntimeError: uvloop's "File descriptor N is used by transport", seen in the operator when connection attempts were
# refused for 40 s. A gateway must go on serving with what it knows, so it is one more failed attempt.
_FAILURES: Final = (ApiException, aiohttp.ClientError, OSError, TimeoutError, RuntimeError, orjson.JSONDecodeError)


class _ExpiredError(Exception):
    """The resource version is too old, or the watch says so in another way: list anew."""


async def follow(call: Call, changed: Callable[[list[Object]], None]) -> None:
    """Call `changed` with all objects after the first list and after every change; runs until it is cancelled.

    While the API server does not answer, the last objects stay as they are.
    """
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            objects, version = await _listed(call)
            pause = _FIRST_PAUSE_SECONDS
            changed(list(objects.values()))
            await _watch_on(call, objects, version, changed)
        except (*_FAILURES, _ExpiredError) as error:
            log.warning("watch broken, listing anew in %.1f s: %s", pause, error)
            await asyncio.sleep(pause)
            pause = min(_MAX_PAUSE_SECONDS, pause * 2)


async def _listed(call: Call) -> tuple[dict[str, Object], str]:
    response = await call(_request_timeout=_MARGIN_SECONDS)
    listed = orjson.loads(await response.read())
    _check(response.status, listed)
    return {_key(item): item for item in listed.get("items") or []}, listed["metadata"]["resourceVersion"]


def _check(status: int, body: Object) -> None:
    if status >= 300:  # noqa: PLR2004 - HTTP's own boundary
        raise ApiException(status=status, reason=str(body.get("message")))


def _key(item: Object) -> str:
    return str(item["metadata"]["name"])


async def _watch_on(
    call: Call, objects: dict[str, Object], version: str, changed: Callable[[list[Object]], None]
) -> None:
    while True:
        async for event in _events(call, version):
            item = event["object"]
            if event["type"] == "ERROR":
                raise _ExpiredError(str(item.get("message")))
            version = item["metadata"]["resourceVersion"]
            if _took(objects, event["type"], item):
                changed(list(objects.values()))
        await asyncio.sleep(_FIRST_PAUSE_SECONDS)  # a server that ends every watch at once is not hammered


def _took(objects: dict[str, Object], kind: str, item: Object) -> bool:
    """Apply one event; False when it changes nothing (a bookmark)."""
    if kind == "BOOKMARK":
        return False
    if kind == "DELETED":
        objects.pop(_key(item), None)
    else:
        objects[_key(item)] = item
    return True


async def _events(call: Call, version: str) -> AsyncIterator[Object]:
    """Yield the events of one watch. Lines are split here, because aiohttp bounds the length of a line."""
    response = await call(
        watch=True,
        resource_version=version,
        allow_watch_bookmarks=True,
        timeout_seconds=_WATCH_SECONDS,
        _request_timeout=_WATCH_SECONDS + _MARGIN_SECONDS,
    )
    try:
        _check(response.status, {"message": f"watch answered {response.status}"})
        rest = b""
        async for piece in response.content.iter_any():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                if line:
                    yield orjson.loads(line)
    finally:
        response.close()
