"""The hard cap before Triton: who gets a seat, who is told to go elsewhere."""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from enum import Enum

from autoglm_api import names
from autoglm_node.failure import RefusalError

ELSEWHERE = ((names.HEADER_DRAINING, "1"),)
RETRY_AFTER = ("retry-after", "1")


class Door(Enum):
    """Whether newcomers are let in."""

    OPEN = "open"
    ENGINE_DOWN = "engine_down"
    DRAINING = "draining"
    RECYCLING = "recycling"
    MEMORY = "memory_pressure"


_CLOSED = {
    Door.ENGINE_DOWN: "the engine is being restarted; nothing of this query was started, another replica can take it",
    Door.DRAINING: "this replica is draining; nothing of this query was started, another replica can take it",
    Door.RECYCLING: "the engine is being replaced; nothing of this query was started, another replica can take it",
    Door.MEMORY: "this replica is short of memory; nothing of this query was started, another replica can take it",
}

_CLOSED_HEADERS = {Door.MEMORY: (*ELSEWHERE, RETRY_AFTER)}


class Admission:
    """Counts the queries inside; at most `cap` at once, none when the door is closed."""

    def __init__(
        self,
        cap: int,
        on_change: Callable[[int], None] = lambda _: None,
        *,
        long_from: int = sys.maxsize,
        on_late: Callable[[float], None] = lambda _: None,
    ) -> None:
        """Let `cap` queries in at once; a long prompt has `long_from` tokens.

        `on_change` hears how many are inside, `on_late` by how many seconds a deadline was missed when it took effect.
        """
        self.door = Door.OPEN
        self._cap = cap
        self._long_from = long_from
        self.long_seats = cap
        """How many long prompts may be inside at once; the memory guard lowers it."""
        self._prompts: list[int] = []
        self._on_change = on_change
        self._on_late = on_late
        self._scopes: set[asyncio.Timeout] = set()
        self._evicted: dict[asyncio.Timeout, RefusalError] = {}
        self._empty = asyncio.Event()
        self._empty.set()

    def suspect(self, engine_may_be_dead: bool) -> None:  # noqa: FBT001 - a yes or no is all that there is to say
        """Send newcomers elsewhere while the engine may be dead; a door that is closed for another reason stays so."""
        if engine_may_be_dead and self.door in (Door.OPEN, Door.MEMORY):
            self.door = Door.ENGINE_DOWN
        elif not engine_may_be_dead and self.door is Door.ENGINE_DOWN:
            self.door = Door.OPEN

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

    @contextmanager
    def room_for(self, prompt_tokens: int) -> Iterator[None]:
        """Take note of a seated query's prompt while the block runs.

        Raises:
            RefusalError: 503, the prompt is long and there are as many long ones inside as may be.
        """
        if prompt_tokens >= self._long_from and self._long_inside() >= self.long_seats:
            message = f"this replica is short of memory and takes {self.long_seats} long prompts at once"
            raise RefusalError(503, message, code="memory_pressure", headers=(*ELSEWHERE, RETRY_AFTER))
        self._prompts.append(prompt_tokens)
        try:
            yield
        finally:
            self._prompts.remove(prompt_tokens)

    def _long_inside(self) -> int:
        return sum(tokens >= self._long_from for tokens in self._prompts)

    @property
    def prompts(self) -> tuple[int, ...]:
        """Lengths, in tokens, of the prompts inside."""
        return tuple(self._prompts)

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
            raise RefusalError(
                503, _CLOSED[self.door], code=self.door.value, headers=_CLOSED_HEADERS.get(self.door, ELSEWHERE)
            )
        if self.in_flight >= self._cap:
            message = f"this replica answers {self._cap} queries at once and all places are taken"
            raise RefusalError(429, message, code="replica_full", headers=(RETRY_AFTER,))

    def _interrupted(self, scope: asyncio.Timeout) -> RefusalError:
        if (evicted := self._evicted.get(scope)) is not None:
            return evicted
        self._on_late(asyncio.get_running_loop().time() - (scope.when() or 0.0))
        return RefusalError(504, "the deadline of the query passed before the answer was complete", code="deadline")

    def _enter(self, scope: asyncio.Timeout) -> None:
        self._scopes.add(scope)
        self._empty.clear()
        self._on_change(self.in_flight)

    def _leave(self, scope: asyncio.Timeout) -> None:
        self._scopes.discard(scope)
        if not self._scopes:
            self._empty.set()
        self._on_change(self.in_flight)
