"""Traces from CSV text: one row per query, or one row per window with its rate.

Queries: a column with the time and two with tokens, under the names of the usual public traces (ours, Azure, BurstGPT).
Windows: `t_s`, `rps`, `mean_input_tokens`, `mean_output_tokens` and optionally `model`, as ServeGen's rates.
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

import numpy as np

from autoglm_operator.simulate.generated import noisy
from autoglm_operator.simulate.traces import LONGEST_SECONDS, Floats, Queries, Trace, TraceError

TIME: Final = ("timestamp_s", "timestamp", "time", "t_s")
PROMPT: Final = ("input_tokens", "contexttokens", "request tokens", "prompt_tokens")
OUTPUT: Final = ("output_tokens", "generatedtokens", "response tokens", "completion_tokens")
CLASS: Final = ("class", "query_class")
RATE: Final = "rps"
SERVICE: Final = "model"
DISPERSION: Final = "idc_asymptotic"
MOST_DISPERSION: Final = 15.0
"""A window's index beyond this comes from its trend, which lies between the windows' rates already."""


def read_trace(name: str, lines: Iterable[str], rng: np.random.Generator, *, service: str = "") -> Trace:
    """Return the trace of a CSV file's lines; `service` picks one of a rates file's models. Raises TraceError."""
    rows = csv.reader(lines)
    header = [cell.strip().lower() for cell in next(rows, [])]
    if RATE in header:
        return _from_rates(name, header, rows, rng, service)
    return from_queries(name, _queries(name, header, rows))


def read_classes(name: str, lines: Iterable[str]) -> Mapping[str, Trace]:
    """Return one trace per query class (lower case), of one length; empty when the file has no such column."""
    rows = csv.reader(lines)
    header = [cell.strip().lower() for cell in next(rows, [])]
    column = next((header.index(known) for known in CLASS if known in header), None)
    if column is None:
        return {}
    table = [row for row in rows if row]
    kinds = np.array([row[column].strip().lower() for row in table])
    queries = _queries(name, header, table)
    seconds = queries.rates().seconds
    return {
        str(kind): from_queries(name, queries.where(np.flatnonzero(kinds == kind)), seconds)
        for kind in np.unique(kinds)
    }


def from_queries(name: str, queries: Queries, seconds: int | None = None) -> Trace:
    """Return the trace of queries."""
    ordered = queries.ordered()
    return Trace(name, ordered.rates(seconds), ordered)


def _queries(name: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Queries:
    columns = [_column(name, header, known) for known in (TIME, PROMPT, OUTPUT)]
    table = [[row[column] for column in columns] for row in rows if len(row) > max(columns)]
    if not table:
        raise TraceError(f"{name}: the trace has no rows")
    at, prompt, output = (_figures(name, [row[part] for row in table]) for part in range(3))
    at -= _origin(at)
    _check(name, at, prompt, output)
    return Queries(at, prompt, output)


def _column(name: str, header: Sequence[str], known: Sequence[str]) -> int:
    for one in known:
        if one in header:
            return list(header).index(one)
    raise TraceError(f"{name}: no column {known[0]} (or {', '.join(known[1:])}); the header is {','.join(header)}")


def _figures(name: str, cells: Sequence[str]) -> Floats:
    try:
        return np.array(cells, dtype=np.float64)
    except ValueError:
        return _dates(name, cells)


def _dates(name: str, cells: Sequence[str]) -> Floats:
    """Return dates as seconds since the first of them; raises TraceError for what is neither number nor date."""
    try:
        times = [datetime.fromisoformat(cell.strip()[:26]) for cell in cells]
    except ValueError as error:
        raise TraceError(f"{name}: a row has something that is no number: {error}") from error
    return np.array([(time - times[0]).total_seconds() for time in times], dtype=np.float64)


def _origin(at: Floats) -> float:
    """Return what to subtract: times that count from a start stay, times of a calendar begin at the first query."""
    first = float(np.min(at))
    return first if first < 0 or first > LONGEST_SECONDS else 0.0


def _check(name: str, at: Floats, *figures: Floats) -> None:
    if not all(np.isfinite(column).all() and (column >= 0).all() for column in (at, *figures)):
        raise TraceError(f"{name}: times and tokens must be finite and not negative")
    if float(at.max()) > LONGEST_SECONDS:
        raise TraceError(f"{name}: the trace is longer than {LONGEST_SECONDS // 86400} days; cut it")


def _from_rates(
    name: str, header: Sequence[str], rows: Iterable[Sequence[str]], rng: np.random.Generator, service: str
) -> Trace:
    table = [dict(zip(header, row, strict=False)) for row in rows if row]
    services = sorted({row[SERVICE] for row in table if SERVICE in row})
    if len(services) > 1 and service not in services:
        raise TraceError(f"{name} has the rates of several services; pick one of {', '.join(services)} with --service")
    chosen = [row for row in table if not services or row[SERVICE] == (service or services[0])]
    at = _figures(name, [row.get("t_s", "") for row in chosen])
    rate, prompt, output = (
        _told(name, at, [row.get(column, "") for row in chosen])
        for column in (RATE, "mean_input_tokens", "mean_output_tokens")
    )
    _check(name, at, rate, prompt, output)
    if not (prompt + output).any():
        raise TraceError(f"{name}: no row tells how many tokens a query has")
    seconds = np.arange(int(at[-1] + (at[-1] - at[0]) / max(1, len(at) - 1)), dtype=np.float64)
    curve, size = np.interp(seconds, at, rate), np.interp(seconds, at, prompt + output)
    dispersion = _told(name, at, [row[DISPERSION] for row in chosen]) if DISPERSION in header else None
    idc = np.interp(seconds, at, np.minimum(dispersion, MOST_DISPERSION)) if dispersion is not None else None
    return Trace(f"{name} {service}".strip(), noisy(curve, size, rng, idc))


def _told(name: str, at: Floats, cells: Sequence[str]) -> Floats:
    """Return a column of rates; a window that does not tell (nobody asked in it) lies between its neighbours.

    A column that tells nothing at all is 0: images have no tokens of their own.
    """
    known = [row for row, cell in enumerate(cells) if cell.strip()]
    if not known:
        return np.zeros(len(cells))
    return np.asarray(np.interp(at, at[known], _figures(name, [cells[row] for row in known])), dtype=np.float64)
