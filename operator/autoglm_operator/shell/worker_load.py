"""How busy each replica is right now, asked of the replicas themselves."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import httpx

from autoglm_api import names
from autoglm_operator.core.pods import Pod

_log: Final = logging.getLogger(__name__)
_DEADLINE_SECONDS: Final = 2.0
_AT_ONCE: Final = 32
_MAX_BODY_BYTES: Final = 1 << 20


async def in_flight_of(pods: Sequence[Pod], port: int = names.WORKER_ADMIN_PORT) -> dict[str, int]:
    """Return the queries inside each pod by its name; pods that do not tell in time are absent."""
    found: dict[str, int] = {}
    gate = asyncio.Semaphore(_AT_ONCE)
    # No redirects, no proxies: the answer counts only if it is the pod's own.
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=_DEADLINE_SECONDS) as http:

        async def ask(pod: Pod) -> None:
            async with gate:
                count = _in_flight(await _page(http, pod, port))
            if count is not None:
                found[pod.name] = count

        try:
            async with asyncio.timeout(_DEADLINE_SECONDS), asyncio.TaskGroup() as group:
                for pod in pods:
                    if pod.address:
                        group.create_task(ask(pod))
        except TimeoutError:
            _log.info("%d of %d replicas told their load in time", len(found), len(pods))
    return found


async def _page(http: httpx.AsyncClient, pod: Pod, port: int) -> str:
    host = f"[{pod.address}]" if ":" in pod.address else pod.address
    body = bytearray()
    try:
        async with http.stream("GET", f"http://{host}:{port}{names.PATH_METRICS}") as answer:
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > _MAX_BODY_BYTES:
                    return ""
    except (httpx.HTTPError, httpx.InvalidURL):
        return ""
    return body.decode(errors="replace") if answer.status_code == httpx.codes.OK else ""


def _in_flight(page: str) -> int | None:
    for line in page.splitlines():
        name, _, value = line.rpartition(" ")
        if name == names.METRIC_NODE_IN_FLIGHT:
            return _count(value)
    return None


def _count(text: str) -> int | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return int(number) if 0 <= number < float("inf") else None
