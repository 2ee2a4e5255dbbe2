"""A ceiling on the share of Complex queries over a sliding hour. Pure: time is an argument (seconds, any origin).

Every query of the hour is counted, with its score. A query that is to be Complex is let through

| the share so far is              | when                                                       |
|----------------------------------|------------------------------------------------------------|
| at the ceiling                   | never                                                      |
| within half a point below it     | its score is among the best of the hour's, up to the share |
| further below                    | always                                                     |

so that the hour's share stays at the ceiling while demand exceeds it, and the best scores are the ones let through.
After a time of less demand everything is let through until the hour is filled up; these queries also leave the hour
together, and the share may then be below the ceiling for a while.
The hour is kept in 120 parts: what falls out at once is small, and the share moves by half a point at most when the
rate is steady. Only a sudden fall of the rate can lift the share above the ceiling: what was let through cannot be
taken back.
"""

from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 3600.0
_PARTS: Final = 120
_PART_SECONDS: Final = WINDOW_SECONDS / _PARTS
_SLACK: Final = 0.005
_BINS: Final = 101  # scores are 0 to 100
_GRACE: Final = 1.0  # queries above the share, so that a service of few queries has Complex ones at all


class _Part:
    """The queries of half a minute."""

    __slots__ = ("bins", "complex", "number", "total")

    def __init__(self, number: int) -> None:
        self.number = number
        self.total = 0
        self.complex = 0
        self.bins = [0] * _BINS


class Budget:
    """The sliding hour: `admits`, then `count` for every query."""

    def __init__(self) -> None:
        self._parts: deque[_Part] = deque()
        self._total = 0
        self._complex_queries = 0
        self._bins = [0] * _BINS

    def share(self, now: float) -> float:
        """Return the share of Complex queries in the hour before `now`, 0 to 1; 0 without queries."""
        self._forget(now)
        return self._complex_queries / self._total if self._total else 0.0

    def admits(self, score: float, ceiling: float, now: float) -> bool:
        """Whether a query of this score may be Complex under a ceiling of 0 to 1."""
        self._forget(now)
        if ceiling <= 0:
            return False
        total = self._total + 1
        room = ceiling * total + _GRACE - (self._complex_queries + 1)
        if room < 0:
            return False
        return room > _SLACK * total or self._above(int(score)) < ceiling * total

    def count(self, score: float, now: float, *, is_complex: bool) -> None:
        """Take in a query, whatever chose its class."""
        part = self._current(now)
        place = int(score)
        part.total += 1
        part.bins[place] += 1
        self._total += 1
        self._bins[place] += 1
        if is_complex:
            part.complex += 1
            self._complex_queries += 1

    def turn_complex(self, now: float) -> None:
        """Count the query that was counted last as Complex after all."""
        self._current(now).complex += 1
        self._complex_queries += 1

    def _above(self, place: int) -> int:
        """Return how many queries of the hour scored higher."""
        return sum(self._bins[place + 1 :])

    def _current(self, now: float) -> _Part:
        number = int(now // _PART_SECONDS)
        if not self._parts or self._parts[-1].number < number:
            self._parts.append(_Part(number))
        return self._parts[-1]

    def _forget(self, now: float) -> None:
        oldest = int(now // _PART_SECONDS) - _PARTS
        while self._parts and self._parts[0].number <= oldest:
            part = self._parts.popleft()
            self._total -= part.total
            self._complex_queries -= part.complex
            self._bins = [left - gone for left, gone in zip(self._bins, part.bins, strict=True)]
