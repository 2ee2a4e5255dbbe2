"""The admin port: metrics (ours and Triton's on one page), probes, drain on request from the pod itself."""

import ipaddress
import logging
from collections.abc import Callable
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST

from autoglm_api import names
from autoglm_node.metrics import Metrics
from autoglm_transport.admin import Probe, admin_handler
from autoglm_transport.client import UpstreamPool
from autoglm_transport.errors import UpstreamError
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from autoglm_transport.server import Handler

log = logging.getLogger(__name__)

_MAX_METRICS_BYTES: Final = 4 << 20
_TEXT: Final = [("content-type", "text/plain; charset=utf-8")]


class TritonMetrics:
    """Reads Triton's metrics page."""

    def __init__(self, port: int) -> None:
        """Read from this port of loopback."""
        self._port = port
        self._pool = UpstreamPool(connect_seconds=1.0, stall_seconds=2.0)

    async def text(self) -> str:
        """Return the page, or nothing when Triton does not answer: a missing source means absent series."""
        try:
            response = await self._pool.request(
                "127.0.0.1", self._port, "GET", names.PATH_METRICS, first_byte_seconds=2.0
            )
            async with response:
                return (await response.read(_MAX_METRICS_BYTES)).decode()
        except (UpstreamError, UnicodeDecodeError) as error:
            log.debug("Triton's metrics are not there: %s", error)
            return ""

    async def close(self) -> None:
        """Close the connection."""
        await self._pool.close()


def handler_for(
    metrics: Metrics, triton: TritonMetrics, *, healthy: Probe, ready: Probe, on_drain: Callable[[], None]
) -> Handler:
    """Return the admin port's handler; `on_drain` is called for POST /admin/drain from loopback."""

    async def page(request: Request, responder: Responder) -> None:
        del request
        body = metrics.page(await triton.text())
        await responder.send(200, [("content-type", CONTENT_TYPE_LATEST)], body)

    async def drain(request: Request, responder: Responder) -> None:
        if not _is_loopback(responder.peer):
            await responder.send(403, _TEXT, b"only from inside the pod\n")
        elif request.method != "POST":
            await responder.send(405, [*_TEXT, ("allow", "POST")], b"POST starts the drain\n")
        else:
            on_drain()
            await responder.send(202, _TEXT, b"draining; the process exits when it is done\n")

    return admin_handler(
        metrics.registry,
        healthy=healthy,
        ready=ready,
        extra={names.PATH_METRICS: page, names.PATH_DRAIN: drain},
    )


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
