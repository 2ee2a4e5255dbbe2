"""`autoglm replay`: decides again what an operator's log says it decided. Needs no cluster."""

import json
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, TextIO

import typer
from rich.console import Console
from rich.table import Table

from autoglm_api.spec import Scaling
from autoglm_cli.simulation.pools import spec_of
from autoglm_cli.simulation.problem import Problem
from autoglm_operator.scaling.journal import LOGGER, Entry, Record, Replayed, record_of
from autoglm_operator.scaling.journal import replay as decided_again

_errors = Console(stderr=True)
_WIDE: Final = 140
"""A table that is piped keeps its figures whole."""
_DIFFERENT: Final = 1


class Output(StrEnum):
    """How the result is printed."""

    TABLE = "table"
    JSON = "json"


@dataclass(slots=True)
class PoolReplay:
    """What came of the decisions of one pool."""

    pool: str
    decisions: int = 0
    different: int = 0
    replicas_then: float = 0.0
    """Mean over the decisions."""
    replicas_now: float = 0.0
    first_difference: str | None = None

    def add(self, made: Replayed) -> None:
        """Count one decision."""
        then, now = made.entry.decision, made.decision
        self.decisions += 1
        self.replicas_then += (then.replicas - self.replicas_then) / self.decisions
        self.replicas_now += (now.replicas - self.replicas_now) / self.decisions
        if then == now:
            return
        self.different += 1
        if self.first_difference is None:
            self.first_difference = f"{then.at.isoformat()}: {then.message} | now: {now.message}"


def replay(
    log: Annotated[str, typer.Argument(help="The operator's log at level DEBUG; - for standard input.")],
    *,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Manifest: its pools' scaling decides instead (a back-test).")
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="How to print.")] = Output.TABLE,
) -> None:
    """Decide every logged decision again. Status 1 when one differs though the policy is the recorded one."""
    try:
        records = _records(log)
        if file is not None:
            records = _under(records, {pool.name: pool.scaling for pool in spec_of(file).pools})
        pools = _replayed(records, log)
    except Problem as problem:
        _errors.print(str(problem), markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(2) from problem
    _tell(list(pools.values()), output)
    if file is None and any(pool.different for pool in pools.values()):
        raise typer.Exit(_DIFFERENT)


def _replayed(records: Iterator[Record], log: str) -> dict[str, PoolReplay]:
    pools: dict[str, PoolReplay] = {}
    for made in decided_again(records):
        pools.setdefault(made.entry.pool, PoolReplay(made.entry.pool)).add(made)
    if not pools:
        raise Problem(f"{log} holds no decisions: the operator logs them at level DEBUG (operator.logLevel)")
    return pools


def _records(log: str) -> Iterator[Record]:
    """Yield the decisions of a log, which may be long; raises Problem for a line that is damaged."""
    try:
        with nullcontext(sys.stdin) if log == "-" else Path(log).open(encoding="utf-8") as lines:
            yield from _records_in(lines, log)
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"{log} cannot be read: {error}") from error


def _records_in(lines: TextIO, log: str) -> Iterator[Record]:
    for number, line in enumerate(lines, 1):
        _, marked, text = line.partition(f" {LOGGER} ")
        if not marked and not line.startswith("{"):
            continue
        try:
            yield record_of(text if marked else line)
        except ValueError as error:
            raise Problem(
                f"{log}, line {number} is no decision of this version; was the log cut? {str(error).splitlines()[0]}"
            ) from error


def _under(records: Iterator[Record], policies: dict[str, Scaling]) -> Iterator[Record]:
    """Yield the decisions of the manifest's pools, with its scaling in place of the recorded one."""
    for record in records:
        if not isinstance(record, Entry):
            yield record
        elif (scaling := policies.get(record.pool.rpartition("/")[2])) is not None:
            yield replace(record, target=replace(record.target, scaling=scaling))


def _tell(pools: list[PoolReplay], output: Output) -> None:
    if output is Output.JSON:
        typer.echo(json.dumps([_camel(pool) for pool in pools], indent=2))
        return
    table = Table("pool", "decisions", "different", "mean replicas then", "now", "first difference")
    for pool in pools:
        figures = (f"{pool.replicas_then:.2f}", f"{pool.replicas_now:.2f}")
        table.add_row(pool.pool, str(pool.decisions), str(pool.different), *figures, pool.first_difference or "")
    console = Console()
    Console(width=max(console.width, _WIDE)).print(table)


def _camel(pool: PoolReplay) -> dict[str, object]:
    def renamed(name: str) -> str:
        first, *others = name.split("_")
        return first + "".join(word.title() for word in others)

    return {renamed(name): value for name, value in asdict(pool).items()}
