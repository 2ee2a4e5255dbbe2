"""One running Triton with one model: started, loaded, looked at, healed, stopped."""

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from autoglm_api.config import EngineSpec
from autoglm_node import repository
from autoglm_node.failure import EngineError
from autoglm_node.health import Canary
from autoglm_node.processes import REAP_SECONDS, Child, remove_shared_memory
from autoglm_node.settings import Settings
from autoglm_node.triton_client import TritonModel
from autoglm_node.triton_server import backends_for, command_for, environment_for

Probe = Callable[[], Awaitable[None]]
"""One small, real query; EngineError when it is not answered."""

log = logging.getLogger(__name__)

LIVE_SECONDS: Final = 60.0
LOAD_SECONDS: Final = 1800.0  # large engines; the startup probe is what really bounds it
UNLOAD_SECONDS: Final = 60.0
WARM_UP_SECONDS: Final = 120.0
CANARY_SECONDS: Final = 5.0
EXIT_SEEN_SECONDS: Final = 2 * REAP_SECONDS
STOP_SECONDS: Final = 2.0  # nothing is in flight and nothing needs saving; an idle Triton would take 4-5 s


class TritonHost:
    """Owns Triton's process group, its connection and its shared memory."""

    def __init__(self, spec: EngineSpec, settings: Settings, client: TritonModel) -> None:
        """Start Triton on an existing model repository; nothing is loaded yet. `client` speaks to its gRPC port."""
        self._shared_memory = f"autoglm_{os.getpid()}_"
        backends = backends_for(spec, settings.triton_dir, settings.work_dir)
        command = command_for(
            spec,
            settings.triton_dir,
            backends,
            settings.work_dir / repository.DIRECTORY,
            settings.triton,
            self._shared_memory,
        )
        self._command = command
        self._environment = environment_for(settings.triton_dir, os.environ)
        self._launch()
        self._client = client
        self.canary_seconds = 0.0

    def _launch(self) -> None:
        self._child = Child(self._command, self._environment)
        self._watch = asyncio.create_task(self._child.watch())

    @property
    def exit_code(self) -> asyncio.Future[int]:
        """Done when Triton itself has ended."""
        return self._child.exit_code

    async def load(self) -> None:
        """Wait for Triton and load the model; EngineError carries the reason of a failure."""
        await self._client.wait_live(LIVE_SECONDS)
        await self._client.load(LOAD_SECONDS)

    async def warm_up(self, probe: Probe) -> None:
        """Run one real query; the first one is the slowest. EngineError when it is not answered."""
        try:
            async with asyncio.timeout(WARM_UP_SECONDS):
                await probe()
        except TimeoutError:
            raise EngineError(f"the first query was not answered within {WARM_UP_SECONDS:g} s") from None

    async def canary(self, probe: Probe) -> Canary:
        """Run one real query with a deadline and say how it went."""
        before, start = self._client.responses_seen, time.monotonic()
        try:
            async with asyncio.timeout(CANARY_SECONDS):
                await probe()
        except EngineError as error:
            log.warning("canary failed: %s", error)
            # Connections break before Triton is seen to have ended, which is another case than a dead engine.
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.exit_code), EXIT_SEEN_SECONDS)
            return Canary.FAILED
        except TimeoutError:
            busy = self._client.responses_seen > before
            log.warning(
                "canary was not answered within %g s, other queries %s", CANARY_SECONDS, "were" if busy else "neither"
            )
            return Canary.BUSY if busy else Canary.FAILED
        finally:
            self.canary_seconds = time.monotonic() - start
        return Canary.ANSWERED

    async def reload(self, probe: Probe) -> None:
        """Replace the engine's process; where that fails, Triton's too. EngineError when neither comes back."""
        try:
            await self._replace_engine(probe)
        except EngineError as error:
            log.warning("the engine did not come back, Triton is started anew: %s", error)
            await self._end()
            self._launch()
            await self.load()
            await self.warm_up(probe)

    async def _replace_engine(self, probe: Probe) -> None:
        """End the engine's process, unload, load, one query.

        Triton unloads long after it said so, and never when the engine hangs: the old process would share the memory
        with the new one. Killing it first is safe, since nobody waits for an answer of it any more.
        """
        killed = self._child.kill_children()
        log.info("%d engine processes killed", killed)
        # A dead engine may refuse to be unloaded cleanly; whether it came back is what counts.
        with suppress(EngineError):
            await self._client.unload(UNLOAD_SECONDS)
        await self._client.load(LOAD_SECONDS)
        await self.warm_up(probe)

    async def stop(self) -> None:
        """End Triton and everything it started; nobody may be attached any more."""
        await self._client.close()
        await self._end()

    async def _end(self) -> None:
        await self._child.stop(STOP_SECONDS)
        await self._watch
        removed = remove_shared_memory(self._shared_memory)
        log.info("Triton has ended (exit code %d); %d shared memory regions removed", self._watch.result(), removed)
