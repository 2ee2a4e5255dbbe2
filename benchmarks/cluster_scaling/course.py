"""What one scene saw, and what was claimed of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from autoglm_demo.records import Record

TOO_MANY = 429


@dataclass(slots=True)
class Course:
    """What one scene saw: moments (s), sizes written and ready, the last reason; and its claims."""

    name: str
    points: list[tuple[float, int, int, str]] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)
    claims: list[tuple[str, bool, str]] = field(default_factory=list)
    queries: int = 0
    refused: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    processors: dict[str, float] = field(default_factory=dict)
    restarts: int = 0

    def written(self, start: float = 0.0, end: float = float("inf")) -> list[int]:
        """Sizes that were written in a part of the scene."""
        return [size for at, size, _, _ in self.points if start <= at <= end]

    def first_change(self, after: float) -> float | None:
        """Seconds from a moment to the next change of the written size."""
        later = [point for point in self.points if point[0] >= after]
        return next((round(b[0] - after, 1) for a, b in pairwise(later) if a[1] != b[1]), None)

    def reached(self, size: int, after: float, *, ready: bool = False) -> float | None:
        """Seconds from a moment until so many replicas were written, or ready."""
        column = 2 if ready else 1
        found = (point[0] - after for point in self.points if point[0] >= after and point[column] >= size)
        return next((round(seconds, 1) for seconds in found), None)

    def claim(self, sentence: str, holds: bool, seen: str) -> None:  # noqa: FBT001 - a claim holds or not
        """Note and print a claim."""
        self.claims.append((sentence, holds, seen))
        print(f"  {'ok ' if holds else 'NOT'} {sentence}: {seen}", flush=True)

    def count(self, records: Iterable[Record], failed: dict[str, int]) -> None:
        """Take in how the queries ended: those that were told to come again later (429) are counted apart."""
        self.queries = sum(1 for _ in records)
        self.refused = failed.pop(f"status {TOO_MANY}", 0)
        self.failed = failed
        seen = f"{self.queries} sent, {self.refused} told to come again (429), others {self.failed}"
        self.claim("no query failed", not self.failed, seen)
