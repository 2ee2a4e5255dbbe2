"""A reply of /api/v1/query taken apart strictly: what is not a plain number of a known series is a problem, never 0."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import orjson

from autoglm_api import names
from autoglm_operator.scaling.readings import Problem
from autoglm_operator.shell.prometheus.query import SERIES_LABEL, Series

MAX_SKEW_SECONDS: Final = 60.0
"""A reply evaluated further from our clock than this is a cached one, or a clock is wrong."""


class PrometheusError(Exception):
    """The whole reply is unusable; `problem` says how, the message quotes the evidence."""

    def __init__(self, problem: Problem, detail: str) -> None:
        super().__init__(f"{problem}: {detail}")
        self.problem = problem
        self.detail = detail


class SeriesKey(NamedTuple):
    """One series of one gateway; `pool` is empty for `up`."""

    series: Series
    namespace: str
    deployment: str
    pool: str
    instance: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One row: the evaluation time (Unix seconds) and the value as text."""

    evaluated_at: float
    value: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A well-formed reply; a key with several samples is an ambiguous series."""

    samples: dict[SeriesKey, list[Sample]]
    warnings: tuple[str, ...]


def parsed(body: bytes, now: float) -> Reply:
    """Return the rows of a reply.

    Raises:
        PrometheusError: not JSON, not a successful instant vector, or evaluated at another time than `now` (Unix s).
    """
    document = _document(body)
    samples: dict[SeriesKey, list[Sample]] = {}
    for key, sample in _rows(document):
        if abs(sample.evaluated_at - now) > MAX_SKEW_SECONDS:
            raise PrometheusError(Problem.CLOCK_SKEW, f"evaluated {sample.evaluated_at - now:+.0f} s from our clock")
        samples.setdefault(key, []).append(sample)
    return Reply(samples, _warnings(document))


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise PrometheusError(Problem.BAD_REPLY, f"not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("status") != "success":
        raise PrometheusError(Problem.BAD_REPLY, f"no success: {body[:120]!r}")
    return document


def _rows(document: dict[str, Any]) -> Iterator[tuple[SeriesKey, Sample]]:
    data = document.get("data")
    if not isinstance(data, dict) or data.get("resultType") != "vector" or not isinstance(data.get("result"), list):
        raise PrometheusError(Problem.BAD_REPLY, "not an instant vector")
    for row in data["result"]:
        key = _key(row)
        if key is not None:
            yield key, _sample(row)


def _key(row: Any) -> SeriesKey | None:
    """Return whose row this is; None for a series that we did not ask for."""
    labels = row.get("metric") if isinstance(row, dict) else None
    if not isinstance(labels, dict) or not all(isinstance(label, str) for label in labels.values()):
        raise PrometheusError(Problem.BAD_REPLY, "a row without labels of text")
    try:
        return SeriesKey(
            Series(labels[SERIES_LABEL]),
            labels[names.SERIES_LABEL_NAMESPACE],
            labels[names.SERIES_LABEL_DEPLOYMENT],
            labels.get(names.SERIES_LABEL_POOL, ""),
            labels["instance"],
        )
    except (KeyError, ValueError):
        return None


def _sample(row: dict[str, Any]) -> Sample:
    match row.get("value"):
        case [int() | float() as at, str() as value]:
            return Sample(float(at), value)
        case other:
            raise PrometheusError(Problem.BAD_REPLY, f"a row with value {str(other)[:60]}")


def _warnings(document: dict[str, Any]) -> tuple[str, ...]:
    listed = document.get("warnings")
    return tuple(str(warning) for warning in listed) if isinstance(listed, list) else ()
