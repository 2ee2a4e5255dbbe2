"""What a person sees while the demo runs: a live table on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.live import Live
from rich.table import Table

from autoglm_demo.checks import Check
from autoglm_demo.figures import Phase, phase_figures
from autoglm_demo.page import duration
from autoglm_demo.records import Record, quantile
from autoglm_demo.samples import Sample

LINE_EVERY_SECONDS = 5.0
RECENT_SECONDS = 5.0


class Screen:
    """Prints the demo's progress."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def say(self, text: str) -> None:
        """Print one line."""
        self._console.print(text, highlight=False, markup=False)

    def heading(self, text: str) -> None:
        """Print the title of a phase."""
        self._console.rule(f"[bold]{text}")

    def verdicts(self, checks: list[Check]) -> None:
        """Print each claim and whether it held."""
        for check in checks:
            mark = "[green]held[/]  " if check.held else "[red bold]FAILED[/]"
            self._console.print(f"  {mark}  {check.claim}  [dim]({check.evidence})[/]", highlight=False)

    def answers(self, phase: Phase) -> None:
        """Print which pool answered what, how well and how fast."""
        if not phase.records:
            return
        table = Table("class", "pool", title="Answers (simulated replicas)" if phase.simulated else "Answers")
        for heading in ("answers", "right", "p50", "p95", "p99"):
            table.add_column(heading, justify="right")
        for row in phase_figures(phase).tallies:
            right = "-" if phase.simulated else f"{row.percent_correct:.0f} %"
            times = (row.latency.p50, row.latency.p95, row.latency.p99)
            table.add_row(row.kind, row.pool, str(row.answered), right, *map(duration, times))
        self._console.print(table)

    @contextmanager
    def live(self, phase: Phase) -> Iterator[Callable[[Sample], None]]:
        """Show samples of a phase as they come: hand each to the function that the block gets."""
        if self._console.is_terminal:
            with Live(console=self._console, refresh_per_second=4, transient=True) as live:
                yield lambda sample: live.update(_table(phase, sample))
        else:
            yield self._lines(phase)

    def _lines(self, phase: Phase) -> Callable[[Sample], None]:
        due = [0.0]

        def show(sample: Sample) -> None:
            if (now := monotonic()) >= due[0]:
                due[0] = now + LINE_EVERY_SECONDS
                self.say(line_of(phase, sample))

        return show


def line_of(phase: Phase, sample: Sample) -> str:
    """One sample as a line of text."""
    recent = _recent(phase.records, sample.at)
    pools = "  ".join(f"{one.pool} {one.ready}/{one.desired}" for one in sample.pools)
    nodes = f"  GPU nodes in use {sample.nodes} (simulated)" if phase.simulated else ""
    rate = len(recent) / RECENT_SECONDS
    return f"  {sample.at:5.0f} s  {rate:6.1f} answers/s  {sample.in_flight:4d} open  replicas {pools}{nodes}"


def _table(phase: Phase, sample: Sample) -> Table:
    kind = "simulated replicas, " if phase.simulated else ""
    table = Table(title=f"{phase.title}: {kind}{sample.at:.0f} s, {sample.in_flight} open queries")
    for heading in ("pool", "ready", "desired", "answers/s", "p50", "p95"):
        table.add_column(heading, justify="left" if heading == "pool" else "right")
    recent = _recent(phase.records, sample.at)
    for one in sample.pools:
        times = sorted(record.seconds for record in recent if record.pool == one.pool)
        rate = f"{len(times) / RECENT_SECONDS:.1f}"
        spread = (duration(quantile(times, 0.5)), duration(quantile(times, 0.95))) if times else ("-", "-")
        table.add_row(one.pool, str(one.ready), str(one.desired), rate, *spread)
    if phase.simulated:
        table.caption = f"{sample.nodes} fake GPU nodes in use"
    return table


def _recent(records: list[Record], now: float) -> list[Record]:
    """Answered queries of the last seconds; records are appended as they finish, so the tail is enough."""
    recent: list[Record] = []
    for record in reversed(records):
        if record.done < now - RECENT_SECONDS:
            break
        if record.answered:
            recent.append(record)
    return recent
