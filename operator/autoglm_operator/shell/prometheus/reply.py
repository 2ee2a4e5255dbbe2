"""A reply of /api/v1/query taken apart strictly: what is not a plain number of a known series is a problem, never 0."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from autoglm_api import names
from autoglm_operator.scaling.readings import Problem
from autoglm_operator.shell.prometheus.query import SERIES_LABEL, Series

MAX_SKEW_SECONDS: Final = 60.0
"""A reply evaluated further from our clock than this is a cached one, or a clock is wrong."""
_CLASS_LABEL: Final = "class"
_TEXT: Final = frozenset({str})
# A reply has tens of thousands of rows: a look-up costs a tenth of what the enumeration's constructor does.
_SERIES: Final = {series.value: series for series in Series}


class PrometheusError(Exception):
    """The whole reply is unusable; `problem` says how, the message quotes the evidence."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(f"{problem}: {detail}")
        self.problem = problem
        self.detail = detail


class SeriesKey(NamedTuple):
    """One series of one gateway; `part` is the pool, or the class of what is offered, and empty for `up`."""

    series: Series
    namespace: str
    deployment: str
    part: str
    instance: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One row: the evaluation time (Unix seconds) and the value as text."""

    evaluated_at: float
    value: str


class Row(NamedTuple):
    """One element of an instant vector."""

    labels: Mapping[str, str]
    sample: Sample


@dataclass(frozen=True, slots=True)
class Reply:
    """A well-formed reply; a key with several samples is an ambiguous series."""

    samples: dict[SeriesKey, list[Sample]]
    warnings: tuple[str, ...]


def parsed(body: bytes, now: float) -> Reply:
    """Return the rows of a reply to `gateway_load_query`; one of a series that we did not ask for is left out.

    Raises:
        PrometheusError: not JSON, not a successful instant vector, or evaluated at another time than `now` (Unix s).
    """
    rows, warnings = vector(body, now)
    samples: dict[SeriesKey, list[Sample]] = {}
    for row in rows:
        key = _key(row.labels)
        if key is not None:
            samples.setdefault(key, []).append(row.sample)
    return Reply(samples, warnings)


def vector(body: bytes, now: float) -> tuple[list[Row], tuple[str, ...]]:
    """Return the rows of an instant vector and Prometheus's warnings; raises PrometheusError as `parsed`."""
    document = successful(body)
    rows = list(_rows(document))
    for row in rows:
        check_clock(row.sample, now)
    return rows, _warnings(document)


def check_clock(sample: Sample, now: float) -> None:
    """Raise PrometheusError for a value of another time than `now` (Unix s)."""
    skew = sample.evaluated_at - now
    if abs(skew) > MAX_SKEW_SECONDS:
        raise PrometheusError(Problem.CLOCK_SKEW, f"evaluated {skew:+.0f} s from our clock")


def successful(body: bytes) -> dict[str, Any]:
    """Return the document of a reply that says `success`; raises PrometheusError."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise PrometheusError(Problem.BAD_REPLY, f"not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("status") != "success":
        raise PrometheusError(Problem.BAD_REPLY, f"no success: {body[:120]!r}")
    return document


def sample_of(value: object) -> Sample:
    """Return a sample of its pair of time and text; raises PrometheusError."""
    match value:
        case [int() | float() as at, str() as text]:
            return Sample(float(at), text)
        case other:
            raise PrometheusError(Problem.BAD_REPLY, f"a row with value {str(other)[:60]}")


def _rows(document: dict[str, Any]) -> Iterator[Row]:
    data = document.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "vector" or not isinstance(data.get("result"), list):
        raise PrometheusError(Problem.BAD_REPLY, "not an instant vector")
    for row in data["result"]:
        labels = row.get("metric") if isinstance(row, dict) else None
        if not isinstance(labels, dict) or not _TEXT.issuperset(map(type, labels.values())):
            raise PrometheusError(Problem.BAD_REPLY, "a row without labels of text")
        yield Row(labels, sample_of(row.get("value")))


def _key(labels: Mapping[str, str]) -> SeriesKey | None:
    """Return whose row this is; None for a series that we did not ask for."""
    try:
        return SeriesKey(
            _SERIES[labels[SERIES_LABEL]],
            labels[names.SERIES_LABEL_NAMESPACE],
            labels[names.SERIES_LABEL_DEPLOYMENT],
            labels.get(names.SERIES_LABEL_POOL) or labels.get(_CLASS_LABEL, ""),
            labels["instance"],
        )
    except KeyError:
        return None


def _warnings(document: dict[str, Any]) -> tuple[str, ...]:
    listed = document.get("warnings")
    return tuple(str(warning) for warning in listed) if isinstance(listed, list) else ()
