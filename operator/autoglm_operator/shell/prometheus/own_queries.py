"""The users' own queries: each for itself, few at once, within the tick; a slow one rests."""

import asyncio
import time
from collections.abc import Iterable
from typing import Final

from autoglm_operator.scaling.readings import NoData, Problem, Reading
from autoglm_operator.shell.prometheus.fetch import Fetcher
from autoglm_operator.shell.prometheus.own import answer_of
from autoglm_operator.shell.prometheus.reply import PrometheusError

BODY_BYTES: Final = 64 * 1024
"""One number is short."""
MOST: Final = 256
"""More different queries than this are not asked in one tick."""
AT_ONCE: Final = 8
EVALUATION: Final = "2s"
"""What Prometheus itself may spend on one."""
REST_SECONDS: Final = 30.0
"""A query that took too long is not asked again for this long, so that it does not take the others' turns."""


class OwnQueries:
    """Asks the users' queries; the answer to each is a reading, whatever happens."""

    def __init__(self, fetcher: Fetcher, deadline_seconds: float) -> None:
        self._fetcher = fetcher
        self._deadline_seconds = deadline_seconds
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._rests_until: dict[str, float] = {}

    async def ask(self, queries: Iterable[str], at: float) -> dict[str, Reading]:
        """Return the answer to every query, `at` this time (Unix s); what has no answer by the deadline is missing."""
        listed = sorted(queries)
        self._rests_until = {query: until for query, until in self._rests_until.items() if query in set(listed)}
        asked, left = listed[:MOST], listed[MOST:]
        answers = dict(zip(asked, await asyncio.gather(*(self._in_time(query, at) for query in asked)), strict=True))
        too_many = NoData(Problem.TOO_LARGE, f"more than {MOST} own queries in this cluster")
        return answers | dict.fromkeys(left, too_many)

    async def _in_time(self, query: str, at: float) -> Reading:
        if time.monotonic() < self._rests_until.get(query, 0.0):
            return NoData(Problem.TIMEOUT, f"took too long; asked again {REST_SECONDS:g} s later")
        try:
            async with asyncio.timeout(self._deadline_seconds), self._turn:
                return await self._answer(query, at)
        except TimeoutError:
            return NoData(Problem.TIMEOUT, f"no answer within {self._deadline_seconds:g} s")

    async def _answer(self, query: str, at: float) -> Reading:
        started = time.monotonic()
        try:
            body = await self._fetcher.body({"query": query, "timeout": EVALUATION, "limit": "2"}, BODY_BYTES)
            return answer_of(body, at)
        except PrometheusError as error:
            return NoData(error.problem, error.detail[:200])
        finally:
            # Also when the tick's deadline ends the wait: whoever holds a turn for so long is the slow one.
            if time.monotonic() - started > float(EVALUATION.removesuffix("s")) * 0.9:
                self._rests_until[query] = time.monotonic() + REST_SECONDS
