"""Which lane of the queue is served next. Pure.

Strict: the most urgent tier that waits, but for the share that is reserved for Batch: while Batch waits, it gets
`batch_percent` of every hundred turns, spread evenly.

Weighted: task types by smooth weighted round robin over those that wait. With the same types waiting throughout, every
run of as many turns as the coefficients' sum holds each type exactly its coefficient's number of times, wherever the
run begins, because the sequence repeats with that period.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from autoglm_api.keys import Tier
from autoglm_gateway.queueing.ticket import TaskType

_HUNDRED: Final = 100


class Turns(Protocol):
    """Chooses among the lanes that wait."""

    def pick(self, waiting: Sequence[str]) -> str:
        """Return the lane that should be served; `waiting` is not empty. Nothing is counted yet."""

    def served(self, lane: str, waiting: Sequence[str]) -> None:
        """Take in that a lane was served while these waited."""


class StrictTurns:
    """Tiers in their order, with a reserved share for Batch."""

    def __init__(self, batch_percent: int) -> None:
        self._batch_percent = batch_percent
        self._credit = 0

    def pick(self, waiting: Sequence[str]) -> str:
        """Return Batch when its share is due, else the most urgent tier."""
        if Tier.BATCH in waiting and self._credit + self._batch_percent >= _HUNDRED:
            return Tier.BATCH
        return next(tier for tier in Tier if tier in waiting)

    def served(self, lane: str, waiting: Sequence[str]) -> None:
        """Count one turn: Batch earns its share while it waits, and pays for what it gets."""
        if Tier.BATCH not in waiting:
            self._credit = 0
            return
        self._credit += self._batch_percent
        if lane == Tier.BATCH:
            self._credit = max(0, self._credit - _HUNDRED)


class WeightedTurns:
    """Task types by their coefficients."""

    def __init__(self, coefficients: Mapping[str, int]) -> None:
        self._coefficients = coefficients
        self._credit: dict[str, int] = {}

    def pick(self, waiting: Sequence[str]) -> str:
        """Return the type with the most credit; the first named among equals."""
        return max(waiting, key=lambda lane: self._credit.get(lane, 0) + self._coefficients[lane])

    def served(self, lane: str, waiting: Sequence[str]) -> None:
        """Give every waiting type its credit and take the turn's price from the one that was served."""
        total = sum(self._coefficients[one] for one in waiting)
        credit = {one: self._credit.get(one, 0) + self._coefficients[one] for one in waiting}
        credit[lane] -= total
        self._credit = credit


def coefficients(types: Sequence[TaskType]) -> dict[str, int]:
    """Return the coefficient of each task type."""
    return {one.name: one.coefficient for one in types}
