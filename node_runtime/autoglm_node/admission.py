"""The hard cap before Triton: who gets a seat, who is told to go elsewhere."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum

from autoglm_api import names
from autoglm_node.failure import RefusalError

ELSEWHERE = ((names.HEADER_DRAINING, "1"),)


class Door(Enum):
    """Whether newcomers are let in."""

    OPEN = "open"
    ENGINE_DOWN = "engine_down"
    DRAINING = "draining"


_CLOSED = {
    Door.ENGINE_DOWN: "the engine is being restarted; nothing of this query was started, another replica can take it",
    Door.DRAINING: "this replica is draining; nothing of this query was started, another replica can take it",
}


class Admission:
    """Counts the queries inside; at most `cap` at once, none when the door is closed."""

    def __init__(self, cap: int, on_change: Callable[[int], None] = lambda _: None) -> None:
        """Let `cap` queries in at once; `on_change` hears how many are inside."""
        self.door = Door.OPEN
        self._cap = cap
        self._on_change = on_change
        self._scopes: set[asyncio.Timeout] = set()
        self._evicted: dict[asyncio.Timeout, RefusalError] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def in_flight(self) -> int:
        """Queries inside."""
        return len(self._scopes)

    @asynccontextmanager
    async def seat(self, deadline_seconds: float | None) -> AsyncIterator[None]:
        """Hold a seat while the block runs; the block is interrupted when the deadline passes or by `evict`.

        Raises:
            RefusalError: 503 door closed or evicted, 429 full, 504 deadline passed.
        """
        self._refuse_newcomer()
        try:
            async with asyncio.timeout(deadline_seconds) as scope:
                self._enter(scope)
                try:
                    yield
                finally:
                    self._leave(scope)
        except TimeoutError:
            raise self._interrupted(scope) from None
        finally:
            self._evicted.pop(scope, None)

    async def wait_empty(self, seconds: float) -> bool:
        """Wait until nobody is inside, at most this long; return whether nobody is."""
        try:
            await asyncio.wait_for(self._empty.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def evict(self, code: str, why: str) -> int:
        """End every query inside with a 503 that says why; return how many there were."""
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            if scope.expired():  # on its way out already; asyncio lets nobody change it any more
                continue
            self._evicted[scope] = RefusalError(503, why, code=code)
            scope.reschedule(now)
        return len(self._scopes)

    def _refuse_newcomer(self) -> None:
        if self.door is not Door.OPEN:
            raise RefusalError(503, _CLOSED[self.door], code=self.door.value, headers=ELSEWHERE)
        if self.in_flight >= self._cap:
            message = f"this replica answers {self._cap} queries at once and all places are taken"
            raise RefusalError(429, message, code="replica_full", headers=(("retry-after", "1"),))

    def _interrupted(self, scope: asyncio.Timeout) -> RefusalError:
        late = RefusalError(504, "the deadline of the query passed before the answer was complete", code="deadline")
        return self._evicted.get(scope, late)

    def _enter(self, scope: asyncio.Timeout) -> None:
        self._scopes.add(scope)
        self._empty.clear()
        self._on_change(self.in_flight)

    def _leave(self, scope: asyncio.Timeout) -> None:
        self._scopes.discard(scope)
        if not self._scopes:
            self._empty.set()
        self._on_change(self.in_flight)
