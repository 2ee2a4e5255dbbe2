"""Looks at memory every second and does what the guard says; leaves evidence for the case that the kernel is faster."""

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from autoglm_api.config import EngineSpec
from autoglm_node import termination
from autoglm_node.admission import Admission, Door
from autoglm_node.cgroup import Cgroup, Memory
from autoglm_node.memory_guard import Guard, Level, Use, long_seats
from autoglm_node.metrics import Metrics
from autoglm_node.phases import Phase

log = logging.getLogger(__name__)

TICK_SECONDS: Final = 1.0
REASON: Final = "OutOfMemory"
_MIB: Final = 1 << 20
_KV_BLOCKS: Final = re.compile(
    r"^nv_trt_llm_kv_cache_block_metrics\{[^}]*kv_cache_block_type=\"(used|max)\"[^}]*\} (\S+)$", re.MULTILINE
)


class MemoryWatch:
    """The memory guard at work in one node."""

    def __init__(
        self,
        spec: EngineSpec,
        cgroup: Cgroup | None,
        metrics: Metrics,
        admission: Admission,
        *,
        reclaim_file: Path,
        evidence: Path,
        wake: Callable[[], None],
    ) -> None:
        """`evidence` is the termination message's file; `wake` is called when the engine needs a look at once."""
        self._spec = spec
        self._cgroup = cgroup
        self._metrics = metrics
        self._admission = admission
        self._reclaim_file = reclaim_file
        self._evidence = evidence
        self._wake = wake
        self._guard = Guard()
        self._reclaimed_at = float("-inf")
        self._kills = 0
        first = self.memory()
        self._kills = first.oom_kills if first else 0

    @property
    def level(self) -> Level:
        """What the guard asks for now."""
        return self._guard.level

    def memory(self) -> Memory | None:
        """Return what the kernel says, or None where there is no control group to read."""
        return self._cgroup.memory() if self._cgroup else None

    async def run(self, triton_page: Callable[[], Awaitable[str]]) -> None:
        """Tick for ever; Triton's metrics are read where there is a GPU."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            device = device_share(await triton_page()) if self._spec.gpus else None
            self.tick(self.memory(), device, time.monotonic())

    def tick(self, memory: Memory | None, device: float | None, now: float) -> None:
        """Take one reading and act on it."""
        before = self.level
        self._guard = self._guard.after(Use(memory.share if memory else None, device))
        self._publish(memory, device)
        self._steer()
        if memory is not None:
            self._count_kills(memory)
            self._leave_evidence(before, memory)
        if self.level is not before:
            log.warning("memory guard: %s -> %s", before.name, self.level.name)
        if self.level > Level.CALM and now - self._reclaimed_at >= self._spec.reclaim_interval_seconds:
            self._reclaimed_at = now
            self._reclaim_file.touch()
        if self.level is Level.RECYCLE:
            self._wake()

    def reset(self) -> None:
        """Begin anew, after the engine's process was replaced."""
        self._guard = Guard()
        self._steer()
        termination.clear(self._evidence)

    def _publish(self, memory: Memory | None, device: float | None) -> None:
        self._metrics.memory_pressure.set(self.level)
        for source, share in (("host", memory.share if memory else None), ("device", device)):
            if share is not None:
                self._metrics.memory_share.labels(source=source).set(share)

    def _steer(self) -> None:
        """Open or close the door, unless somebody else has closed it, and say how many long prompts may enter."""
        self._admission.long_seats = long_seats(self._spec.concurrency, self.level)
        if self._admission.door in (Door.OPEN, Door.MEMORY):
            self._admission.door = Door.MEMORY if self.level >= Level.SHED else Door.OPEN

    def _count_kills(self, memory: Memory) -> None:
        killed = memory.oom_kills - self._kills
        self._kills = memory.oom_kills
        if killed > 0:
            log.error("the kernel killed %d processes of this container: %s", killed, self.story(memory))
            self._metrics.oom_kills.inc(killed)
            self._wake()

    def _leave_evidence(self, before: Level, memory: Memory) -> None:
        """Keep the termination message true: the kernel gives no time to write one when it kills the container."""
        if self.level > Level.CALM:
            termination.say(self._evidence, Phase.SERVE, REASON, self.story(memory))
        elif before > Level.CALM:
            termination.clear(self._evidence)

    def story(self, memory: Memory) -> str:
        """Return what was running, and under which limits, as one sentence."""
        limit = f" of {memory.limit_bytes / _MIB:.0f} MiB" if memory.limit_bytes else ""
        prompts = self._admission.prompts
        longest = f", the longest prompt {max(prompts)} tokens" if prompts else ""
        return (
            f"memory in use {memory.used_bytes / _MIB:.0f} MiB{limit}; model {self._spec.model_name}, "
            f"{self._admission.in_flight} of {self._spec.concurrency} queries inside{longest}, "
            f"sequences up to {self._spec.max_sequence_tokens} tokens"
        )


def device_share(page: str) -> float | None:
    """Return the share of the GPU's key-value blocks in use, from Triton's page; None when it does not say.

    The GPU's own memory would not tell: engines with a pool take nearly all of it from the start.
    """
    blocks = {kind: float(value) for kind, value in _KV_BLOCKS.findall(page)}
    return blocks["used"] / blocks["max"] if blocks.get("max") and "used" in blocks else None
