"""One query goes to the replicas, those that ask the same meanwhile wait for its answer."""

import asyncio
from collections import deque
from enum import Enum, auto

from autoglm_gateway.cache.entry import Entry


class Turn(Enum):
    """What one is to do that has got no answer."""

    LEAD = auto()  # ask for all that wait, then `land` or `fail`
    ALONE = auto()  # ask for oneself


class SingleFlight:
    """Who asks what at the moment.

    Whoever is told to lead must call `land` or `fail` once, on every path. A leader that fails (its client has left,
    no replica answered) is followed by the next one that waits, so nobody is lost with it.
    """

    def __init__(self) -> None:
        self._waiting: dict[bytes, deque[asyncio.Future[Entry | Turn]]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def waiting(self, key: bytes) -> int:
        """Return how many wait for an answer."""
        return len(self._waiting.get(key, ()))

    def lead(self, key: bytes) -> bool:
        """Lead at once, or return False: somebody leads already."""
        if key in self._waiting:
            return False
        self._waiting[key] = deque()
        return True

    async def join(self, key: bytes, patience: float) -> Entry | Turn:
        """Lead, or wait at most so many seconds for the leader's answer; ALONE when it cannot be shared or is late."""
        if self.lead(key):
            return Turn.LEAD
        line = self._waiting[key]
        future: asyncio.Future[Entry | Turn] = asyncio.get_running_loop().create_future()
        line.append(future)
        try:
            async with asyncio.timeout(patience):
                return await future
        except TimeoutError:
            return self._given_up(key, future)
        except asyncio.CancelledError:
            if self._given_up(key, future) is Turn.LEAD:
                self.fail(key)  # told to lead in the moment of leaving
            raise

    def land(self, key: bytes, entry: Entry | None) -> None:
        """Give the answer to all that wait; None: it cannot be shared, so each asks for itself."""
        for future in self._waiting.pop(key):
            if not future.done():
                future.set_result(Turn.ALONE if entry is None else entry)

    def fail(self, key: bytes) -> None:
        """Let the next one that waits lead."""
        line = self._waiting[key]
        while line:
            future = line.popleft()
            if not future.done():
                future.set_result(Turn.LEAD)
                return
        del self._waiting[key]

    def _given_up(self, key: bytes, future: "asyncio.Future[Entry | Turn]") -> Entry | Turn:
        if future.done() and not future.cancelled():
            return future.result()
        line = self._waiting.get(key)
        if line is not None and future in line:
            line.remove(future)
        return Turn.ALONE
