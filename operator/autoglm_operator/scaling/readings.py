"""What is known of a pool's load: a figure, a lower bound of it, or nothing.

No data is never zero load. A figure that is known in part (a gateway could not be scraped) still proves at least that
much load, so it may raise the size but never lower it.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

PROMETHEUS: Final = "Prometheus"
REMEMBERED: Final = "memory"
"""The source of a last complete figure that still speaks while there is none."""


class Problem(StrEnum):
    """Why a reading is no full figure."""

    UNREACHABLE = "Unreachable"
    TIMEOUT = "Timeout"
    HTTP_STATUS = "HTTPStatus"
    TOO_LARGE = "TooLarge"
    BAD_REPLY = "BadReply"
    CLOCK_SKEW = "ClockSkew"
    MISSING = "Missing"
    STALE = "Stale"
    FUTURE = "FutureSample"
    NOT_A_NUMBER = "NotANumber"
    NEGATIVE = "Negative"
    OUT_OF_RANGE = "OutOfRange"
    DUPLICATE = "DuplicateSeries"
    PARTIAL = "PartialCoverage"


@dataclass(frozen=True, slots=True)
class Fresh:
    """A complete, recent figure in thousandths."""

    milli: int
    source: str = field(default="", compare=False)
    """Where it comes from when that is not Prometheus, in words."""


@dataclass(frozen=True, slots=True)
class AtLeast:
    """The part of the figure that is known, in thousandths, and why the rest is not."""

    milli: int
    problem: Problem
    detail: str
    source: str = field(default="", compare=False)
    """As that of a Fresh figure."""


@dataclass(frozen=True, slots=True)
class NoData:
    """Nothing is known, and why."""

    problem: Problem
    detail: str


Reading: TypeAlias = Fresh | AtLeast | NoData


def total(*parts: Reading) -> Reading:
    """Return the sum of readings: complete only if every part is, nothing only if no part is known."""
    failures = [part for part in parts if not isinstance(part, Fresh)]
    known = [part.milli for part in parts if not isinstance(part, NoData)]
    source = next((part.source for part in parts if not isinstance(part, NoData) and part.source), "")
    if not failures:
        return Fresh(sum(known), source)
    first = failures[0]
    if not known:
        return NoData(first.problem, first.detail)
    return AtLeast(sum(known), first.problem, first.detail, source)


def source_of(reading: Reading) -> str:
    """Return where a figure comes from, in words; empty when there is none.

    >>> source_of(Fresh(1000)), source_of(Fresh(1000, "the gateways themselves"))
    ('Prometheus', 'the gateways themselves')
    """
    return "" if isinstance(reading, NoData) else reading.source or PROMETHEUS
