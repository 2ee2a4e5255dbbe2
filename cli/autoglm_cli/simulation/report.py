"""A study in words and figures: JSON, CSV or a table."""

import csv
import io
import json
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.table import Table

from autoglm_cli.simulation.study import Answer, Study
from autoglm_operator.simulate.uncertainty import Interval

_COLUMNS: Final = {
    "sloAttainmentPercent": ("SLO %", "{:.2f}"),
    "costVsOracle": ("cost/oracle", "{:.2f}"),
    "costVsStaticPeak": ("cost/static", "{:.2f}"),
    "gpuHours": ("GPU hours", "{:.1f}"),
    "flapsPerHour": ("flaps/h", "{:.1f}"),
    "scaleEventsPerHour": ("events/h", "{:.1f}"),
    "maxReplicas": ("most", "{:.0f}"),
    "p95WaitSeconds": ("p95 wait s", "{:.1f}"),
    "recoverySeconds": ("recovery s", "{:.0f}"),
}


def as_json(study: Study, settings: dict[str, Any]) -> str:
    """Return the study as JSON; with a single result its figures stand at the top as well."""
    results = [_result(answer, study) for answer in study.answers]
    top = results[0] if len(results) == 1 else {}
    body = {**top, "settings": settings, "results": results, "differences": _differences(study)}
    return json.dumps(body, indent=2, allow_nan=False)


def as_csv(study: Study) -> str:
    """Return one row per result."""
    target = io.StringIO()
    rows = [_flat(_result(answer, study)) for answer in study.answers]
    writer = csv.DictWriter(target, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return target.getvalue()


def as_table(study: Study) -> Table:
    """Return the main figures for a terminal; `*` marks the Pareto front of a sweep."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("pool", "policy", *(["value"] if study.best else [])):
        table.add_column(title, no_wrap=True)
    for _, title in columns():
        table.add_column(title, justify="right", no_wrap=True)
    for answer in study.answers:
        mark = " *" if answer.case in study.best else ""
        value = [f"{answer.case.value}{mark}"] if study.best else []
        table.add_row(answer.case.pool, answer.case.policy, *value, *(cell(answer, key) for key in _COLUMNS))
    return table


def differences_in_words(study: Study) -> list[str]:
    """Return a sentence for each comparison of two policies."""
    return [
        f"{case.pool}{f' {case.value}' if case.value else ''}: {case.policy} less {other}: "
        f"SLO {_told(found.slo_points, '+.2f')} points, cost x {_told(found.cost_ratio, '.3f')} (95 % intervals)"
        for case, other, found in study.differences
    ]


def cell(answer: Answer, key: str) -> str:
    """Return a figure as it is shown; a dash for none."""
    figure = answer.figures[key]
    return "-" if figure is None else _COLUMNS[key][1].format(figure)


def columns() -> list[tuple[str, str]]:
    """Return the keys and titles of the figures that are shown to people."""
    return [(key, title) for key, (title, _) in _COLUMNS.items()]


def _result(answer: Answer, study: Study) -> dict[str, Any]:
    return {
        "pool": answer.case.pool,
        "policy": answer.case.policy,
        "value": answer.case.value,
        "seeds": len(answer.outcomes),
        **{key: None if figure is None else round(figure, 6) for key, figure in answer.figures.items()},
        "sloAttainmentInterval": [round(answer.slo.low, 4), round(answer.slo.high, 4)],
        "onParetoFront": answer.case in study.best if study.best else None,
    }


def _flat(result: dict[str, Any]) -> dict[str, Any]:
    low, high = result.pop("sloAttainmentInterval")
    return {**result, "sloAttainmentLow": low, "sloAttainmentHigh": high}


def _differences(study: Study) -> list[dict[str, Any]]:
    return [
        {
            "pool": case.pool,
            "value": case.value,
            "policy": case.policy,
            "than": other,
            "sloPoints": _rounded(found.slo_points),
            "costRatio": _rounded(found.cost_ratio),
        }
        for case, other, found in study.differences
    ]


def _rounded(interval: Interval) -> dict[str, float]:
    return {name: round(figure, 6) for name, figure in interval._asdict().items()}


def _told(interval: Interval, form: str) -> str:
    return f"{interval.value:{form}} [{interval.low:{form}}, {interval.high:{form}}]"
