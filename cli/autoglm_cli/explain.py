"""What a service is doing and why, told from its status and its journal. Pure: a resource in, things to print out."""

from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from autoglm_api.journal import JournalEntry
from autoglm_api.status import Condition, ConditionStatus, Decision, PoolStatus, SignalReport, Status

_BAD_WHEN_TRUE: Final = frozenset({"Degraded", "Progressing", "Paused", "ScalingLimited", "ScalingConflict"})
_NOTHING: Final = "-"


class Told(NamedTuple):
    """All that is known of a deployment."""

    namespace: str
    name: str
    status: Status
    journal: tuple[JournalEntry, ...] = ()
    """Decisions that changed something, oldest first."""


def explanation(told: Told, last: int) -> Iterator[RenderableType]:
    """Yield verdict and conditions, then every pool with its last decision, then the last decisions of all."""
    conditions = told.status.conditions or []
    if not conditions:
        yield Text(f"{told.name}: the operator has not written a status yet; is it running?")
        return
    yield Text(f"{told.name}: {_verdict(conditions)}")
    if told.status.url:
        yield Text(f"  address: {told.status.url}")
    yield from (Text(f"  {_sentence(condition)}") for condition in _noteworthy(conditions))
    for pool in told.status.pools or []:
        yield from _pool(pool)
    if told.journal and last > 0:
        yield Text("\nlast decisions that changed something, newest first")
        yield Padding(_journal(told.journal[: -last - 1 : -1]), (0, 0, 0, 2))


def explanation_json(told: Told, last: int) -> dict[str, Any]:
    """Return the same as one JSON object, with the API's own field names."""
    conditions = told.status.conditions or []
    return {
        "name": told.name,
        "namespace": told.namespace,
        "verdict": _verdict(conditions) if conditions else "no status yet",
        **told.status.to_json(),
        "decisions": [entry.to_json() for entry in told.journal[: -last - 1 : -1]],
    }


def _verdict(conditions: list[Condition]) -> str:
    ready = next((condition for condition in conditions if condition.type == "Ready"), None)
    if ready is None:
        return "not known to be ready"
    return "ready" if ready.status is ConditionStatus.TRUE else f"NOT ready ({ready.reason}): {ready.message}"


def _noteworthy(conditions: list[Condition]) -> list[Condition]:
    """Return the conditions that a person should look at: bad ones that are true and good ones that are not."""
    return [
        condition
        for condition in conditions
        if condition.type != "Ready"
        and (condition.status is ConditionStatus.TRUE) == (condition.type in _BAD_WHEN_TRUE)
    ]


def _sentence(condition: Condition) -> str:
    since = condition.last_transition_time
    return f"{condition.type}={condition.status} ({condition.reason}) since {since}: {condition.message}"


def _pool(pool: PoolStatus) -> Iterator[RenderableType]:
    yield Text(
        f"\n  pool {pool.name}: {pool.ready_replicas} ready of {pool.desired_replicas} desired"
        f" ({pool.replicas} exist), revision {pool.revision or 'none'}"
    )
    if pool.last_decision is not None:
        yield from _decision(pool.last_decision)
    yield from (Text(f"    {_sentence(condition)}") for condition in _noteworthy(pool.conditions or []))


def _decision(decision: Decision) -> Iterator[RenderableType]:
    yield Text(f"    decided {decision.replicas} at {decision.time} ({decision.reason}): {decision.message}")
    if decision.limited is not None:
        yield Text(f"    limited by {decision.limited}")
    if decision.signals:
        yield Padding(_signals(decision.signals, decision.winner), (0, 0, 0, 4))


def _signals(reports: Sequence[SignalReport], winner: str | None) -> Table:
    table = _table(
        "signal", "value", "target", "proposal", "freshness", "source", "", right=("value", "target", "proposal")
    )
    for report in reports:
        won = report.signal == winner
        asked, source = _count(report.proposal), report.source or None
        cells = (report.signal, report.value, report.target, asked, report.freshness, source)
        _add(table, *cells, "won" if won else "", style="bold" if won else None)
    return table


def _journal(entries: Sequence[JournalEntry]) -> Table:
    table = _table("time", "pool", "size", "reason", "winner", "limited by", "why")
    for entry in entries:
        made = entry.decision
        size = f"{entry.before} -> {made.replicas}" if made.replicas != entry.before else str(made.replicas)
        _add(table, made.time, entry.pool, size, made.reason, made.winner, made.limited, made.message)
    return table


def _table(*headers: str, right: Sequence[str] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for header in headers:
        table.add_column(header, justify="right" if header in right else "left", overflow="fold")
    return table


def _add(table: Table, *cells: str | None, style: str | None = None) -> None:
    """Add a row of texts as they are: what comes from the cluster is no markup."""
    table.add_row(*(Text(_NOTHING if cell is None else cell) for cell in cells), style=style)


def _count(number: int | None) -> str | None:
    return None if number is None else str(number)
