"""What happened to one query, and figures over many of them."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

from autoglm_shop.task import Kind

OK_STATUS = 200


@dataclass(frozen=True, slots=True)
class Record:
    """One query as its client saw it; times are seconds since the phase began.

    `status` is 0 when no answer came; `error` then says why. `done` is when the last byte came or the query failed.
    """

    kind: Kind
    sent: float
    done: float
    first_byte: float | None = None
    status: int = 0
    pool: str = ""
    routed: str = ""
    correct: bool = False
    streamed: bool = False
    simulated: bool = False
    error: str = ""

    @property
    def answered(self) -> bool:
        """Whether the whole answer came."""
        return self.status == OK_STATUS and not self.error

    @property
    def seconds(self) -> float:
        """From sending the query to its last byte."""
        return self.done - self.sent


@dataclass(frozen=True, slots=True)
class Latency:
    """Latency of answered queries, in seconds."""

    p50: float
    p95: float
    p99: float
    longest: float


def quantile(ordered: Sequence[float], share: float) -> float:
    """Nearest-rank quantile of values in ascending order; 0 of no values."""
    if not ordered:
        return 0.0
    return ordered[max(ceil(share * len(ordered)) - 1, 0)]


def latency(records: Iterable[Record]) -> Latency:
    """Return the latency of the answered queries among these."""
    ordered = sorted(record.seconds for record in records if record.answered)
    return Latency(quantile(ordered, 0.5), quantile(ordered, 0.95), quantile(ordered, 0.99), quantile(ordered, 1.0))


@dataclass(frozen=True, slots=True)
class Tally:
    """Queries of one kind that one pool answered."""

    kind: Kind
    pool: str
    answered: int
    correct: int
    latency: Latency

    @property
    def percent_correct(self) -> float:
        """Share of right answers, in percent; 0 of none."""
        return 100 * self.correct / self.answered if self.answered else 0.0


def tallies(records: Iterable[Record]) -> tuple[Tally, ...]:
    """Count answers by kind and pool, ordered by both."""
    groups: dict[tuple[Kind, str], list[Record]] = {}
    for record in records:
        if record.answered:
            groups.setdefault((record.kind, record.pool), []).append(record)
    return tuple(
        Tally(kind, pool, len(group), sum(record.correct for record in group), latency(group))
        for (kind, pool), group in sorted(groups.items())
    )


def failures(records: Iterable[Record]) -> dict[str, int]:
    """Count the queries that were not answered, by what was seen instead."""
    return dict(Counter(record.error or f"status {record.status}" for record in records if not record.answered))
