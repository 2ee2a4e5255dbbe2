"""How many attempts may be repeated: a fifth of the queries, lest a failing cluster be asked twice as much. Pure.

Counted over about ten seconds; three per second are always allowed.
"""

from typing import Final

from autoglm_gateway.admit import DrainRate

_SHARE: Final = 0.2
_LEAST_PER_SECOND: Final = 3.0


class RetryBudget:
    """One budget for all pools of a gateway; time is an argument (seconds)."""

    __slots__ = ("_queries", "_retries")

    def __init__(self) -> None:
        self._queries = DrainRate()
        self._retries = DrainRate()

    def saw_query(self, now: float) -> None:
        """Count a query."""
        self._queries.record(now)

    def take(self, now: float) -> bool:
        """Count one attempt more and return True, or return False when the budget is spent."""
        allowed = max(_LEAST_PER_SECOND, _SHARE * self._queries.per_second(now))
        if self._retries.per_second(now) >= allowed:
            return False
        self._retries.record(now)
        return True
