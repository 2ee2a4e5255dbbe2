"""The admin port's handler: /metrics, /healthz, /readyz, and a process's own extra paths."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from autoglm_api import names
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from autoglm_transport.server import Handler

# A probe returns whether all is well, and a line that says what is missing.
Probe = Callable[[], tuple[bool, str]]
_TEXT: Final = [("content-type", "text/plain; charset=utf-8")]


def admin_handler(
    registry: CollectorRegistry,
    *,
    healthy: Probe,
    ready: Probe,
    extra: Mapping[str, Handler] | None = None,
) -> Handler:
    """Return a handler for an admin server; `extra` maps paths to handlers of the process's own."""
    routes: dict[str, Handler] = {
        names.PATH_METRICS: _metrics(registry),
        names.PATH_HEALTHZ: _probe(healthy),
        names.PATH_READYZ: _probe(ready),
        **(extra or {}),
    }

    async def handle(request: Request, responder: Responder) -> None:
        route = routes.get(request.path)
        if route is None:
            await responder.send(404, _TEXT, f"not here; there are {', '.join(sorted(routes))}\n".encode())
            return
        await route(request, responder)

    return handle


def _metrics(registry: CollectorRegistry) -> Handler:
    async def handle(request: Request, responder: Responder) -> None:
        del request
        await responder.send(200, [("content-type", CONTENT_TYPE_LATEST)], generate_latest(registry))

    return handle


def _probe(probe: Probe) -> Callable[[Request, Responder], Awaitable[None]]:
    async def handle(request: Request, responder: Responder) -> None:
        del request
        well, message = probe()
        await responder.send(200 if well else 503, _TEXT, f"{message}\n".encode())

    return handle
