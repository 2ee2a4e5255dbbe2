"""The report of a study: one HTML file that needs nothing else."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from autoglm_cli.simulation.report import cell, columns, differences_in_words
from autoglm_cli.simulation.study import Study

_STYLE: Final = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2rem auto; padding: 0 1rem; color: #1d2126; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #dfe2e6; text-align: right; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
img { max-width: 100%; }
"""


def page(title: str, settings: dict[str, object], study: Study, pictures: Sequence[tuple[str, bytes]]) -> str:
    """Return the report: settings, the table, comparisons, pictures."""
    return "\n".join(
        (
            "<!doctype html>",
            f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title><style>{_STYLE}</style></head>',
            f"<body><h1>{escape(title)}</h1>",
            f"<p>{escape(', '.join(f'{name}: {value}' for name, value in settings.items()))}</p>",
            _table(study),
            *(f"<p>{escape(sentence)}</p>" for sentence in differences_in_words(study)),
            *(_picture(name, png) for name, png in pictures),
            "</body></html>\n",
        )
    )


def _table(study: Study) -> str:
    shown = columns()
    rows = [_row("th", ("pool", "policy", "value", *(title for _, title in shown)))]
    for answer in study.answers:
        mark = " *" if answer.case in study.best else ""
        case = (answer.case.pool, answer.case.policy, f"{answer.case.value or ''}{mark}")
        rows.append(_row("td", (*case, *(cell(answer, key) for key, _ in shown))))
    return f"<table>{''.join(rows)}</table>"


def _row(tag: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(text)}</{tag}>" for text in cells) + "</tr>"


def _picture(name: str, png: bytes) -> str:
    title = escape(name.removesuffix(".png"))
    return f'<h2>{title}</h2><img alt="{title}" src="data:image/png;base64,{b64encode(png).decode()}">'
