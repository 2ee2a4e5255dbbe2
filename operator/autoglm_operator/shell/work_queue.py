"""The keyed work queue: one reconcile per key at a time, wakes coalesced, failures backed off, all looked at again.

| event | effect |
|---|---|
| wake while idle | a reconcile starts after a short pause that gathers further wakes |
| wake while it waits | nothing more, or sooner |
| wake while it runs | once more afterwards |
| reconcile raises or asks for a retry | again after an exponential, jittered pause |
| wake during or after a failure | the pause is cut to a few seconds, not to nothing |
| nothing happens | again after the resync interval, jittered |
| reconcile says that the resource is gone | the key is forgotten |
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from autoglm_operator.core.keys import ObjectKey

_log: Final = logging.getLogger(__name__)
_GATHER_SECONDS: Final = 0.05
_FIRST_BACKOFF_SECONDS: Final = 0.5
_LONGEST_BACKOFF_SECONDS: Final = 60.0
# The news may be what ends the failure, or the failing reconcile's own write: soon, but no hot loop.
_WOKEN_RETRY_SECONDS: Final = 2.0
_JITTER: Final = 0.2
_AT_ONCE: Final = 16


class Again(Enum):
    """What a finished reconcile wants."""

    LATER = auto()
    """All is done; look again at the resync interval."""
    RETRY = auto()
    """Something could not be done; back off and try again."""
    NEVER = auto()
    """The resource is gone."""


@dataclass(frozen=True, slots=True)
class Result:
    """The answer of a reconcile to the queue."""

    again: Again
    after_seconds: float | None = None
    """Sooner than the resync interval, when given."""


Work = Callable[[ObjectKey], Awaitable[Result]]


@dataclass(slots=True)
class _Entry:
    due: float | None = None
    timer: asyncio.TimerHandle | None = None
    task: asyncio.Task[None] | None = None
    woken: bool = False
    failures: int = 0


class WorkQueue:
    """Runs `work` for every key that is woken; belongs to one event loop."""

    def __init__(
        self, work: Work, resync_seconds: float, pick: Callable[[float, float], float] = random.uniform
    ) -> None:
        self._work = work
        self._resync = resync_seconds
        self._pick = pick
        self._entries: dict[ObjectKey, _Entry] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._closed = False

    def wake(self, key: ObjectKey, after_seconds: float | None = None) -> None:
        """Reconcile a key soon; cheap, to be called for every event."""
        if self._closed:
            return
        entry = self._entries.setdefault(key, _Entry())
        soon = _WOKEN_RETRY_SECONDS if entry.failures else _GATHER_SECONDS
        if entry.task is not None:
            entry.woken = True
        else:
            self._schedule(key, entry, soon if after_seconds is None else after_seconds)

    @property
    def keys(self) -> frozenset[ObjectKey]:
        """The keys that are looked after."""
        return frozenset(self._entries)

    async def close(self) -> None:
        """Start nothing new and wait for what runs."""
        self._closed = True
        for entry in self._entries.values():
            if entry.timer is not None:
                entry.timer.cancel()
        running = [entry.task for entry in self._entries.values() if entry.task is not None]
        await asyncio.gather(*running, return_exceptions=True)  # kopf may have cancelled them when it ended

    def _schedule(self, key: ObjectKey, entry: _Entry, after_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + after_seconds
        if entry.timer is not None:
            if entry.due is not None and entry.due <= due:
                return
            entry.timer.cancel()
        entry.due = due
        entry.timer = loop.call_at(due, self._start, key, entry)

    def _start(self, key: ObjectKey, entry: _Entry) -> None:
        entry.timer = entry.due = None
        entry.task = asyncio.get_running_loop().create_task(self._run(key, entry), name=f"reconcile {key}")

    async def _run(self, key: ObjectKey, entry: _Entry) -> None:
        try:
            async with self._places:
                entry.woken = False
                result = await self._attempt(key)
        finally:
            entry.task = None
        if not self._closed:
            self._follow_up(key, entry, result)

    async def _attempt(self, key: ObjectKey) -> Result:
        try:
            return await self._work(key)
        except Exception:  # noqa: BLE001 - one poisonous resource must not end the others' reconciles
            _log.exception("reconcile of %s failed", key)
            return Result(Again.RETRY)

    def _follow_up(self, key: ObjectKey, entry: _Entry, result: Result) -> None:
        entry.failures = entry.failures + 1 if result.again is Again.RETRY else 0
        if result.again is Again.RETRY:
            pause = self._backoff(entry.failures)
            self._schedule(key, entry, min(pause, _WOKEN_RETRY_SECONDS) if entry.woken else pause)
        elif entry.woken:
            self._schedule(key, entry, _GATHER_SECONDS)
        elif result.again is Again.NEVER:
            del self._entries[key]
        else:
            pause = self._resync if result.after_seconds is None else min(result.after_seconds, self._resync)
            self._schedule(key, entry, pause * self._pick(1 - _JITTER, 1))

    def _backoff(self, failures: int) -> float:
        doubled: float = _FIRST_BACKOFF_SECONDS * 2 ** min(failures - 1, 20)
        return min(_LONGEST_BACKOFF_SECONDS, doubled) * self._pick(1 - _JITTER, 1)
