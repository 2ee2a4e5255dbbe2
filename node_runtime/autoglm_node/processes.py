"""Duties of PID 1: one child in its own process group, orphans reaped, nothing left behind.

Linux only. All reaping of this process goes through `Reaper`; asyncio's child watchers must not be used beside it.
"""

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

_PR_SET_CHILD_SUBREAPER: Final = 36
REAP_SECONDS: Final = 0.2
"""How often it is looked who has ended."""

_POLL_SECONDS: Final = 0.02
_KILL_SECONDS: Final = 2.0
SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - where Triton keeps its regions


def become_subreaper() -> None:
    """Adopt the orphans of our descendants, as PID 1 does by nature; a container may share its PID namespace."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def reap() -> dict[int, int]:
    """Collect every child that has ended; return exit codes (negative: the signal) by process id."""
    ended: dict[int, int] = {}
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            ended[pid] = os.waitstatus_to_exitcode(status)
    return ended


class Child:
    """A program in its own process group."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start the program; it inherits our output."""
        process = subprocess.Popen(command, env=dict(environment), start_new_session=True)  # noqa: S603 - our own command line
        # From here on the process is reaped by `reap`; Popen must not wait for it or warn about it.
        process.returncode = 0
        self.pid = process.pid
        self.exit_code: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def watch(self) -> int:
        """Reap until the child has ended; orphans on the way. Returns its exit code."""
        while not self.exit_code.done():
            await asyncio.sleep(REAP_SECONDS)
            self._reap()
        return self.exit_code.result()

    def _reap(self) -> None:
        code = reap().get(self.pid)
        if code is not None:
            self.exit_code.set_result(code)

    async def stop(self, grace_seconds: float) -> None:
        """End the whole group: SIGTERM to the child, after the grace SIGKILL to everything in the group."""
        if not self.exit_code.done():
            self._signal_child(signal.SIGTERM)
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.exit_code), grace_seconds)
        await self._kill_group()

    def kill_children(self) -> int:
        """SIGKILL what the child itself has started; return how many processes that were."""
        children = _children(self.pid)
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(children)

    async def _kill_group(self) -> None:
        """SIGKILL everything in the group, also what a dead child left behind, and wait until it is reaped."""
        with suppress(ProcessLookupError, TimeoutError):
            async with asyncio.timeout(_KILL_SECONDS):
                while True:
                    os.killpg(self.pid, signal.SIGKILL)
                    self._reap()
                    await asyncio.sleep(_POLL_SECONDS)

    def _signal_child(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, number)


def _children(pid: int) -> list[int]:
    """Return the processes that a process, with all its threads, has started."""
    found: list[int] = []
    for listed in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):  # a thread that has just ended
            found += map(int, listed.read_text(encoding="ascii").split())
    return found


def remove_shared_memory(prefix: str) -> int:
    """Remove the shared memory regions whose names start so; return how many there were."""
    regions = list(SHARED_MEMORY.glob(f"{prefix}*"))
    for region in regions:
        region.unlink(missing_ok=True)
    return len(regions)
