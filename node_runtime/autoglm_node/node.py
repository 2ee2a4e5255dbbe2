"""The life of a worker: does the work of each phase and lets the table say what follows."""

import asyncio
import gc
import logging
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from autoglm_api import names
from autoglm_node import admin, cgroup, repository, termination, workload
from autoglm_node.admission import Admission, Door
from autoglm_node.failure import EngineError, FatalError
from autoglm_node.front import body_limit, transport_refusal
from autoglm_node.grpc_front import GrpcServer
from autoglm_node.health import Health, Verdict
from autoglm_node.memory_guard import SHED, Level
from autoglm_node.memory_watch import REASON, MemoryWatch
from autoglm_node.metrics import Metrics
from autoglm_node.phases import ENDS, Event, Phase, next_phase
from autoglm_node.readiness import Vitals
from autoglm_node.rehearsal import rehearse
from autoglm_node.settings import Settings
from autoglm_node.triton_host import TritonHost
from autoglm_node.validate import validated
from autoglm_transport.limits import Limits
from autoglm_transport.server import HttpServer

log = logging.getLogger(__name__)

CANARY_INTERVAL_SECONDS: Final = 5.0
# In these Triton may end: with a dead engine it sometimes crashes on the shared memory that they had in common.
_RELOADING: Final = frozenset({Phase.HEAL, Phase.RECYCLE})
LINGER_SECONDS: Final = 1.0  # for keep-alive clients between two queries: they are told, not cut
FLUSH_SECONDS: Final = 2.0  # for answers that are written but not yet read when the drain ends


class Node:
    """One worker. `run` is its whole life."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.vitals = Vitals()
        self._terminate = asyncio.Event()
        self._look_now = asyncio.Event()
        self._failure: FatalError | None = None
        self._work: dict[Phase, Callable[[], Awaitable[Event]]] = {
            Phase.VALIDATE: self._validate,
            Phase.GENERATE: self._generate,
            Phase.START: self._start,
            Phase.WARM_UP: self._warm_up,
            Phase.SERVE: self._serve,
            Phase.HEAL: self._heal,
            Phase.RECYCLE: self._recycle,
            Phase.DRAIN: self._drain,
        }
        self._servers: list[HttpServer | GrpcServer] = []
        self._host: TritonHost | None = None
        self._guarding: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Live until the end; returns the exit code. SIGTERM and SIGINT start the drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._terminate.set)
        try:
            while self.vitals.phase not in ENDS:
                self._enter(next_phase(self.vitals.phase, await self._event()))
        finally:
            await self._clean_up()
        return self._exit_code()

    def _enter(self, phase: Phase) -> None:
        log.info("phase %s -> %s", self.vitals.phase, phase)
        self.vitals.phase = phase

    async def _event(self) -> Event:
        """Do the phase's work; return what ended it: its own result, a signal, or Triton's death."""
        phase = self.vitals.phase
        work = asyncio.ensure_future(self._work[phase]())
        stop = asyncio.ensure_future(self._terminate.wait())
        # A drain is not drained twice.
        watched: set[asyncio.Future[Any]] = {work}
        if phase is not Phase.DRAIN:
            watched.add(stop)
        if self._host is not None and phase not in _RELOADING:
            watched.add(self._host.exit_code)
        try:
            await asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED)
            return self._what_happened(phase, work, stop)
        finally:
            await _cancelled(stop)
            await _cancelled(work)

    def _what_happened(self, phase: Phase, work: asyncio.Future[Event], stop: asyncio.Future[Any]) -> Event:
        # A canary that fails because Triton has ended says nothing new.
        ended = phase is Phase.SERVE and self._host is not None and self._host.exit_code.done()
        if work.done() and not ended:
            try:
                return work.result()
            except FatalError as failure:
                self._failure = failure
                return Event.ERROR
        if phase is not Phase.DRAIN and stop.done():
            return Event.TERMINATE
        self._failure = self._triton_exited(phase)
        return Event.TRITON_EXITED

    def _triton_exited(self, phase: Phase) -> FatalError:
        code = self._host.exit_code.result() if self._host else 0
        early = phase in (Phase.START, Phase.WARM_UP)
        exit_code = names.EXIT_ENGINE_LOAD if early else names.EXIT_ENGINE_DEAD
        return FatalError(phase, "TritonExited", f"Triton ended by itself with exit code {code}", exit_code)

    # --- the phases' work ------------------------------------------------------------------------------
    async def _validate(self) -> Event:
        self._spec = validated(self._settings.spec, self._settings.triton_dir)
        self._workload = workload.load(self._spec)
        self._metrics = Metrics(self._spec.model_name)
        self._admission = Admission(
            self._spec.concurrency,
            self._metrics.in_flight.set,
            long_from=max(1, self._spec.max_sequence_tokens // 2),
            on_late=self._metrics.deadline_late.observe,
        )
        self._memory = MemoryWatch(
            self._spec,
            cgroup.find(self._settings.cgroup_dir),
            self._metrics,
            self._admission,
            reclaim_file=self._settings.work_dir / repository.RECLAIM_FILE,
            evidence=self._settings.termination_message,
            wake=self._look_now.set,
        )
        return Event.DONE

    async def _generate(self) -> Event:
        try:
            repository.write(self._settings.work_dir, self._spec, self._settings.engine_threads)
        except OSError as error:
            raise FatalError(Phase.GENERATE, "RepositoryNotWritten", str(error), names.EXIT_BAD_REPOSITORY) from None
        return Event.DONE

    async def _start(self) -> Event:
        await self._start_admin()
        client = self._workload.connect(self._settings.triton)
        self._host = TritonHost(self._spec, self._settings, client)
        try:
            await self._host.load()
        except EngineError as error:
            raise FatalError(Phase.START, "ModelNotLoaded", str(error), names.EXIT_ENGINE_LOAD) from None
        return Event.DONE

    async def _start_admin(self) -> None:
        self._triton_metrics = admin.TritonMetrics(self._settings.triton.metrics)
        handler = admin.handler_for(
            self._metrics,
            self._triton_metrics,
            healthy=self.vitals.alive,
            ready=self.vitals.ready,
            on_drain=self._terminate.set,
        )
        await self._listen(HttpServer(handler, Limits(max_body_bytes=4096)), self._settings.admin_port)

    async def _warm_up(self) -> Event:
        limit = body_limit(self._spec)
        # Nobody's queries: they are counted apart.
        rehearsing = self._handlers(Metrics(self._spec.model_name))
        try:
            await self._running.warm_up(self._workload.probe)
            await rehearse(rehearsing.front.handle, self._workload.rehearsal(), limit)
        except EngineError as error:
            raise FatalError(Phase.WARM_UP, "FirstQueryFailed", str(error), names.EXIT_ENGINE_LOAD) from None
        handlers = self._handlers(self._metrics)
        self._front = HttpServer(handlers.front.handle, Limits(max_body_bytes=limit), refusal_body=transport_refusal)
        await self._listen(self._front, self._settings.port)
        self._grpc = GrpcServer(handlers.servicer)
        await self._grpc.start(self._settings.host, self._settings.grpc_port)
        self._servers.append(self._grpc)
        self._metrics.start_seconds.set(_age_seconds())
        gc.collect()
        gc.freeze()  # what is loaded by now stays: the collector need not walk it again and again under load
        return Event.DONE

    def _handlers(self, metrics: Metrics) -> workload.Handlers:
        return self._workload.handlers(self._admission, metrics, self.vitals.ready, self._look_now.set)

    async def _listen(self, server: HttpServer, port: int) -> None:
        self._servers.append(server)
        bound = await server.start(self._settings.host, port)
        log.info("listening on %s:%d", self._settings.host, bound)

    async def _serve(self) -> Event:
        self._admission.door = Door.OPEN
        self.vitals.health = Health()
        self._metrics.model_ready.set(1)
        if self._guarding is None:
            self._guarding = asyncio.create_task(self._memory.run(self._triton_metrics.text))
        while self.vitals.health.verdict is not Verdict.SICK:
            # The first failure is followed up at once; a query that failed also calls for a look.
            if self.vitals.health.verdict is Verdict.HEALTHY:
                await self._pause()
            if self._memory.level is Level.RECYCLE:
                return Event.MEMORY_FULL
            self.vitals.health = self.vitals.health.after(await self._running.canary(self._workload.probe))
            self._metrics.canary_seconds.set(self._running.canary_seconds)
            self._metrics.model_ready.set(self.vitals.ready()[0])
            # Whoever sees that the node is not ready is sent elsewhere and not to an engine that may be dead.
            self._admission.suspect(self.vitals.health.verdict is not Verdict.HEALTHY)
        return Event.ENGINE_SICK

    async def _pause(self) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._look_now.wait(), CANARY_INTERVAL_SECONDS)
        self._look_now.clear()

    async def _heal(self) -> Event:
        self._admission.door = Door.ENGINE_DOWN
        # Triton never ends the streams of an engine whose process is gone.
        self._admission.evict("engine_failed", "the engine died before the answer was complete")
        await self._admission.wait_empty(FLUSH_SECONDS)
        try:
            await self._running.reload(self._workload.probe)
        except EngineError as error:
            raise FatalError(Phase.HEAL, "EngineDead", str(error), names.EXIT_ENGINE_DEAD) from None
        return Event.DONE

    async def _recycle(self) -> Event:
        """Replace an engine whose memory is full once what is inside is finished; other replicas take what comes."""
        self._admission.door = Door.RECYCLING
        self._metrics.model_ready.set(0)
        if not await self._admission.wait_empty(self._spec.drain_seconds):
            self._admission.evict("recycled", "the engine's memory was full and its process had to be replaced")
            await self._admission.wait_empty(FLUSH_SECONDS)
        try:
            await self._running.reload(self._workload.probe)
        except EngineError as error:
            raise FatalError(Phase.RECYCLE, "EngineDead", str(error), names.EXIT_ENGINE_DEAD) from None
        self._memory.reset()
        self._refuse_a_hopeless_limit()
        return Event.DONE

    def _refuse_a_hopeless_limit(self) -> None:
        memory = self._memory.memory()
        if memory is not None and (memory.share or 0) >= SHED:
            told = f"even a new engine fills the memory: {self._memory.story(memory)}; raise resources.limits.memory"
            raise FatalError(Phase.RECYCLE, REASON, told, names.EXIT_OUT_OF_MEMORY)

    async def _drain(self) -> Event:
        self._metrics.draining.set(1)
        self._metrics.model_ready.set(0)
        # Endpoints need a moment to reach every gateway; until then newcomers are served as ever.
        await asyncio.sleep(self._settings.propagation_seconds)
        self._admission.door = Door.DRAINING
        self._front.stop_keepalive()
        await asyncio.sleep(LINGER_SECONDS)
        if not await self._admission.wait_empty(self._spec.drain_seconds):
            left = self._admission.evict("evicted", "this replica shut down before the answer was complete")
            log.warning("drain deadline: %d queries get an error", left)
        busy, _ = await asyncio.gather(self._front.drain(FLUSH_SECONDS), self._grpc.close(FLUSH_SECONDS))
        log.info("drained; %d connections were still busy", busy)
        return Event.DONE

    # --- the end ---------------------------------------------------------------------------------------
    @property
    def _running(self) -> TritonHost:
        if self._host is None:
            raise RuntimeError("Triton was not started")
        return self._host

    async def _clean_up(self) -> None:
        if self._guarding is not None:
            await _cancelled(self._guarding)
        for server in self._servers:
            await server.close()
        if self._servers:
            await self._triton_metrics.close()
        if self._host is not None:
            await self._host.stop()

    def _exit_code(self) -> int:
        if self.vitals.phase is Phase.STOPPED or self._failure is None:
            return 0
        log.error("phase %s: %s: %s", self._failure.phase, self._failure.reason, self._failure.message)
        termination.write(self._settings.termination_message, self._failure)
        return self._failure.exit_code


def _age_seconds() -> float:
    """Return for how long this process exists, imports included."""
    fields = Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    started = int(fields[19]) / os.sysconf("SC_CLK_TCK")  # field 22 of proc(5), counted after the command's name
    return time.clock_gettime(time.CLOCK_BOOTTIME) - started


async def _cancelled(future: asyncio.Future[Any]) -> None:
    """Cancel what still runs and wait until it has ended."""
    if not future.done():
        future.cancel()
        with suppress(asyncio.CancelledError):
            await future
