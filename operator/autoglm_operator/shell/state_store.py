"""The scaling engine's memory, kept in the API server so that a restart loses no window and no cooldown.

Whoever saves hands over a function: the text is made only when it is written, which is seldom.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from autoglm_api import names
from autoglm_operator.core.keys import JSON, ObjectKey
from autoglm_operator.core.scaling_state import Saved, belongs_to, saved_in, state_config_map_for
from autoglm_operator.shell.api import APIError, ConflictError, KubernetesAPI, NotFoundError, RefusedError
from autoglm_operator.shell.resources import CHILDREN

_log: Final = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 30.0
"""Nothing but news is written more often."""
FLUSH_SECONDS: Final = 10.0
"""A third of the time that Kubernetes gives a pod to end."""
_TURN_SECONDS: Final = 1.0
_WRITES_PER_TURN: Final = 20

Make = Callable[[], Saved]


class StateUnreadError(Exception):
    """It cannot be told now whether anything was kept; ask again later and hold until then."""


class StateStore(Protocol):
    """Where the scaling engine's memory of a deployment lives between two operators."""

    async def load(self, key: ObjectKey) -> Saved | None:
        """Return what was kept, or None when there is nothing; raises StateUnreadError."""

    def save(self, key: ObjectKey, make: Make, *, changed: bool) -> None:
        """Take the newest memory. `changed`: a decision changed something, so it is written within seconds."""

    def forget(self, key: ObjectKey) -> None:
        """Stop writing for a deployment that is gone; what is kept of it goes with it."""


@dataclass(slots=True)
class _Pending:
    make: Make
    changed: bool
    written: float
    """Time of the last write, or of the first save."""
    dirty: bool = True


class ConfigMapStore:
    """One ConfigMap per deployment, written by a field manager of its own."""

    def __init__(
        self,
        api: KubernetesAPI,
        uid_of: Callable[[ObjectKey], str | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api = api
        self._clock = clock
        self._uid_of = uid_of
        self._pending: dict[ObjectKey, _Pending] = {}
        self._problems: dict[ObjectKey, str] = {}

    async def load(self, key: ObjectKey) -> Saved | None:
        """Return what was kept of the resource that has this name now; raises StateUnreadError."""
        uid = self._uid_of(key)
        if uid is None:
            raise StateUnreadError(f"{key} has not been seen yet")
        try:
            live = await self._live(key)
        except RefusedError as error:
            self._tell(key, f"may not be read: {error}")
            return None
        except APIError as error:
            raise StateUnreadError(str(error)) from error
        return saved_in(live) if live is not None and belongs_to(live, uid) else None

    def save(self, key: ObjectKey, make: Make, *, changed: bool) -> None:
        """Remember what to write; `run` writes it."""
        known = self._pending.get(key)
        if known is None:
            self._pending[key] = _Pending(make, changed, self._clock())
        else:
            known.make, known.changed, known.dirty = make, known.changed or changed, True

    def forget(self, key: ObjectKey) -> None:
        """Drop what was to be written."""
        self._pending.pop(key, None)
        self._problems.pop(key, None)

    async def run(self) -> None:
        """Write what is due, a bounded number a second, until cancelled."""
        while True:
            await asyncio.sleep(_TURN_SECONDS)
            await self.write_due()

    async def write_due(self) -> None:
        """Write the news, and what has not been written for long; the oldest first."""
        now = self._clock()
        due = [key for key, one in self._pending.items() if _is_due(one, now)]
        await self._write_all(sorted(due, key=self._urgency)[:_WRITES_PER_TURN])

    async def flush(self) -> None:
        """Write everything that is not written yet, as far as FLUSH_SECONDS allow; for the end."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._write_all([key for key, one in self._pending.items() if one.dirty])
        except TimeoutError:
            _log.warning("not every scaling state could be written in %g s", FLUSH_SECONDS)

    def _urgency(self, key: ObjectKey) -> tuple[bool, float]:
        return not self._pending[key].changed, self._pending[key].written

    async def _write_all(self, keys: Iterable[ObjectKey]) -> None:
        for key in keys:
            pending, uid = self._pending.get(key), self._uid_of(key)
            if pending is None or uid is None:
                continue
            pending.written, pending.changed, pending.dirty = self._clock(), False, False
            try:
                await self._write(key, uid, pending.make())
            except APIError as error:
                pending.dirty = True  # with the next turn of the interval
                self._tell(key, str(error))

    async def _write(self, key: ObjectKey, uid: str, saved: Saved) -> None:
        live = await self._live(key)
        if live is not None and not belongs_to(live, uid):
            raise ConflictError(0, f"ConfigMap {names.scaling_state_name(key.name)} belongs to somebody else")
        live_uid = live["metadata"]["uid"] if live is not None else None
        await self._api.apply(state_config_map_for(key, uid, saved), live_uid, names.FIELD_MANAGER_STATE)
        self._problems.pop(key, None)

    async def _live(self, key: ObjectKey) -> JSON | None:
        try:
            return await self._api.get(CHILDREN["ConfigMap"], key.namespace, names.scaling_state_name(key.name))
        except NotFoundError:
            return None

    def _tell(self, key: ObjectKey, problem: str) -> None:
        if self._problems.get(key) != problem:
            self._problems[key] = problem
            _log.warning("%s: the scaling state is not kept: %s", key, problem)


def _is_due(one: _Pending, now: float) -> bool:
    return one.dirty and (one.changed or now - one.written >= INTERVAL_SECONDS)
