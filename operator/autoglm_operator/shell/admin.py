"""The admin port: metrics, liveness, readiness."""

import asyncio
from collections.abc import Callable
from typing import Final

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from autoglm_api import names

_UNAVAILABLE: Final = 503


class AdminServer:
    """Serves /metrics, /healthz and /readyz on one port."""

    def __init__(self, port: int, ready: Callable[[], bool]) -> None:
        self._port = port
        self._ready = ready
        app = web.Application()
        app.router.add_get(names.PATH_METRICS, self._metrics)
        app.router.add_get(names.PATH_HEALTHZ, self._healthz)
        app.router.add_get(names.PATH_READYZ, self._readyz)
        self._runner = web.AppRunner(app, access_log=None)

    async def start(self) -> None:
        """Listen on all addresses: the kubelet and Prometheus come from outside the pod."""
        await self._runner.setup()
        await web.TCPSite(self._runner, None, self._port).start()

    async def stop(self) -> None:
        """Close the port."""
        await self._runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        body = await asyncio.to_thread(generate_latest)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        """Alive as long as the event loop turns: a watch that dies ends the process by itself."""
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        if self._ready():
            return web.Response(text="ready\n")
        return web.Response(text="starting\n", status=_UNAVAILABLE)
