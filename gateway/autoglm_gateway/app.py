"""The gateway process: puts the parts together, serves, and drains on SIGTERM."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

import orjson

from autoglm_api import names
from autoglm_api.config import Demand, GatewayConfig
from autoglm_api.gateway import AccessLog as AccessLogMode
from autoglm_gateway.access_log import STOP_SECONDS, AccessLog, AccessLogCollector
from autoglm_gateway.cache.answers import AnswerCache
from autoglm_gateway.cache.counts import CacheCollector
from autoglm_gateway.certificates import CertificateCollector, Certificates
from autoglm_gateway.fleet import Fleet
from autoglm_gateway.front import Front, refusal_body
from autoglm_gateway.metrics import Metrics
from autoglm_gateway.overload import RETRY_SECONDS, Pressure
from autoglm_gateway.pulse import ProbeServer, Pulse
from autoglm_gateway.relay import Relay
from autoglm_gateway.route import Router
from autoglm_gateway.watchdog import Watchdog
from autoglm_gateway.weighing import Weighing
from autoglm_transport.admin import admin_handler
from autoglm_transport.client import UpstreamPool
from autoglm_transport.descriptors import affordable_connections, affordable_upstreams, raise_descriptor_limit
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import Handler, HttpServer

log = logging.getLogger(__name__)

# Keeps a fleet in step with the world until it is cancelled.
Source = Callable[[Fleet], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Settings:
    """How the process runs; times in seconds."""

    host: str = ""  # all addresses of the pod, of both families
    port: int | None = None  # None: the usual one
    admin_port: int = names.GATEWAY_ADMIN_PORT
    answer_seconds: float = 300.0
    stall_seconds: float = 60.0
    connect_seconds: float = 2.0
    propagation_seconds: float = names.ENDPOINT_PROPAGATION_SECONDS
    drain_seconds: float = 300.0
    tls: bool = False  # answer over TLS only, with the certificate that the source finds
    probe_port: int | None = None
    """Where probes are answered by a thread of their own; None: on the admin port only."""


class Gateway:
    """One gateway: `start`, then `stop`; or `run`, which does both and listens to signals in between."""

    def __init__(self, settings: Settings, source: Source) -> None:
        self._settings = settings
        self._source = source
        self._limits = Limits()
        self._wanted_connections = self._limits.max_connections
        self._descriptors = raise_descriptor_limit()
        self._upstreams = UpstreamPool(connect_seconds=settings.connect_seconds, stall_seconds=settings.stall_seconds)
        self._resized(0)
        self._router = Router()
        self._weighing = Weighing(self._router, lambda broken: self._metrics.weights_broken(broken=broken))
        self._certificates = Certificates()
        self.fleet = Fleet(
            self._upstreams.forget,
            self._configured,
            self._weighing.use,
            self._use_redis,
            self._certificates.follow,
            self._resized,
        )
        self._metrics = Metrics(self.fleet.pools.values, self._complex_share, lambda: self.fleet.callers.problems)
        self._pulse = Pulse(monotonic())
        self._probes = ProbeServer(self._pulse)
        self._pressure = Pressure()
        self._watchdog = Watchdog(self._woke)
        relay = Relay(self._upstreams, self._metrics, answer_seconds=settings.answer_seconds)
        self._cache = AnswerCache(relay, self._metrics)
        self._metrics.registry.register(CacheCollector(self._cache.counts, self._cache.gauges))
        if settings.tls:
            self._metrics.registry.register(CertificateCollector(self._certificates))
        self._access_log = AccessLog()
        self._metrics.registry.register(AccessLogCollector(self._access_log))
        self._front = Front(self.fleet, self._cache, self._metrics, self._router)
        self._server = HttpServer(self._handle, self._limits, refusal_body=refusal_body)
        self._admin = HttpServer(self._admin_handler(), Limits())
        self._stopping = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def start(self) -> tuple[int, int]:
        """Serve; returns the bound ports of clients and of the admin surface."""
        port = await self._listen()
        admin_port = await self._admin.start(self._settings.host, self._settings.admin_port)
        log.info("serving on port %d, admin on port %d, %s code", port, admin_port, _code())
        if self._settings.probe_port is not None:
            log.info("probes on port %d", self._probes.start(self._settings.host, self._settings.probe_port))
        self.fleet.start()
        self._watchdog.start()
        self._following = asyncio.create_task(self._source(self.fleet))
        self._following.add_done_callback(lambda _: self._stopping.set())
        return port, admin_port

    async def _listen(self) -> int:
        settings = self._settings
        usual = names.GATEWAY_TLS_PORT if settings.tls else names.GATEWAY_PORT
        port = usual if settings.port is None else settings.port
        return await self._server.start(settings.host, port, self._certificates.context if settings.tls else None)

    async def run(self) -> None:
        """Serve until SIGTERM or SIGINT, drain, stop; raises what broke the source of configuration."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        await self.start()
        gc.freeze()  # what is loaded by now stays: the collector need not walk it again and again under load
        await self._stopping.wait()
        if self._following is not None and not self._following.done():
            await self.drain()
        await self.stop()

    async def drain(self) -> int:
        """Be unready while clients move elsewhere, then finish what is in flight; returns what had to be left."""
        self._stopping.set()
        log.info("draining: %d queries in flight", self._server.in_flight)
        self._server.stop_keepalive()
        await asyncio.sleep(self._settings.propagation_seconds)
        self._server.stop_accepting()
        left = await self._server.drain(self._settings.drain_seconds)
        log.info("drained, %d queries cut off", left)
        return left

    async def stop(self) -> None:
        """Close everything at once; raises what broke the source of configuration."""
        self.fleet.stop()
        self._watchdog.stop()
        self._probes.stop()
        await self._server.close()
        await self._admin.close()
        await self._cache.close()
        await self._upstreams.close()
        self._access_log.stop(STOP_SECONDS)
        if self._following is not None:
            self._following.cancel()
            with suppress(asyncio.CancelledError):
                await self._following

    def _handle(self, request: Request, responder: Responder) -> Awaitable[None] | None:
        """Answer a client; plain and not a coroutine itself, because it is called for every query."""
        if self._pressure.sheds:
            self._front.shed(request, responder, RETRY_SECONDS)
            return None
        return self._front.handle(request, responder)

    def _woke(self, late_seconds: float) -> None:
        """Take in how late the watchdog was, and tell the probes that the event loop runs."""
        self._metrics.lagged(late_seconds)
        self._pressure.lagged(late_seconds)
        self._pulse.beat(monotonic(), *self._ready())

    def _configured(self, config: GatewayConfig) -> None:
        self._limits.max_body_bytes = config.max_body_bytes
        self._router.configure(config.routing)
        self._log_access(on=config.access_log is AccessLogMode.JSON)
        self._cache.configure(config.cache, f"{config.namespace}/{config.deployment}")
        if config.routing.weights_config_map_ref is None:
            self._weighing.use_default()

    def _resized(self, slots: int) -> None:
        """Take over how many queries the replicas take at once: descriptors are for clients and for these."""
        limit = affordable_connections(self._wanted_connections, self._descriptors, slots)
        self._limits.max_connections = limit
        self._upstreams.max_open = float(affordable_upstreams(limit, self._descriptors))

    def _log_access(self, *, on: bool) -> None:
        self._front.access_log = self._access_log if on else None
        if on:
            self._access_log.start()
        else:
            self._access_log.stop()

    def _use_redis(self, url: str | None) -> None:
        self._cache.use_redis(url)

    def _complex_share(self) -> float:
        return self._router.complex_share(asyncio.get_running_loop().time())

    def _ready(self) -> tuple[bool, str]:
        if self._stopping.is_set():
            return False, "draining"
        if not self.fleet.synced:
            return False, f"no {self.fleet.missing()} yet"
        if self._settings.tls and not self._certificates.usable:
            return False, f"no {self._certificates.problem} yet"
        return True, "ready"

    def _admin_handler(self) -> Handler:
        async def demand(_: Request, responder: Responder) -> None:
            asked = Demand(pools=self.fleet.demand(), offered=self._metrics.offers())
            body = orjson.dumps(asked.to_json())
            await responder.send(200, [("content-type", "application/json")], body)

        return admin_handler(
            self._metrics.registry,
            healthy=lambda: (True, "alive"),
            ready=self._ready,
            extra={names.PATH_DEMAND: demand},
        )


def _code() -> str:
    """Tell what a query runs through: `compiled` (decision 21) or `interpreted` code."""
    file = sys.modules["autoglm_gateway.relay"].__file__ or ""
    return "interpreted" if file.endswith(".py") else "compiled"
