"""The tables: SLO% @ cost/oracle (flaps/h) per policy and trace, where ours loses, and what faults do."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Final

from cases import TraceCase
from compare import Difference, difference
from play import Played, pooled

from autoglm_operator.simulate.uncertainty import pareto_front

OURS: Final = "ours"
MARKS: Final = {"loses": " -", "wins": " +", "trades": " ~", "even": " ="}
TARGETS: Final = {
    # trace: SLO attainment at least, cost of the oracle's at most, flaps per hour at most (start-up 120 s)
    "m-large ramp 2h": (100.0, 1.20, 2.0),
    "R1 24h": (99.5, 1.70, 2.0),
    "azure conv": (95.3, 1.50, 2.0),
    "mooncake": (99.4, 1.80, 2.0),
}
SHOWN_POINTS: Final = 10.0
"""How far below the best attainment, in points, the front is shown."""
Key = tuple[str, str]
"""Trace and policy."""


class Figures:
    """All fault-free runs of one start-up time, by trace and policy."""

    def __init__(self, runs: Iterable[Played]) -> None:
        self.runs: dict[Key, list[Played]] = {}
        for run in runs:
            self.runs.setdefault((run.task.trace, run.task.policy), []).append(run)

    def mean(self, key: Key, figure: str) -> float:
        """Return a figure's mean over the seeds."""
        return fmean(float(run.figures[figure] or 0.0) for run in self.runs[key])

    def against_ours(self, key: Key) -> Difference | None:
        """Return ours minus this policy's; None for ours itself or without it."""
        trace, policy = key
        ours = self.runs.get((trace, OURS))
        return difference(pooled(ours), pooled(self.runs[key])) if ours and policy != OURS else None

    def cell(self, key: Key) -> str:
        """Return a cell: `SLO% @cost (flaps/h)` and how ours does against it."""
        slo, cost = self.mean(key, "sloAttainmentPercent"), self.mean(key, "costVsOracle")
        found = self.against_ours(key)
        mark = MARKS[found.verdict] if found else ""
        return f"{slo:.2f} @{cost:.2f} ({self.mean(key, 'flapsPerHour'):.1f}){mark}"


def table(figures: Figures, cases: Sequence[TraceCase], policies: Sequence[str]) -> list[str]:
    """Return the Markdown table of one start-up time."""
    heads = [case.name + (" (validation)" if case.validation else "") for case in cases]
    rows = [[policy, *(figures.cell((case.name, policy)) for case in cases)] for policy in policies]
    return markdown(["policy", *heads], rows)


def losses(figures: Figures, cases: Sequence[TraceCase], policies: Sequence[str], startup_seconds: int) -> list[str]:
    """Return one sentence per pair that ours loses: worse in one, and not better in the other."""
    lines = []
    for case in cases:
        for policy in policies:
            found = figures.against_ours((case.name, policy))
            if found and found.verdict == "loses":
                lines.append(f"- S={startup_seconds} s, {case.name}: loses to {policy}: {_said(found)}")
    return lines


def targets(figures: Figures, cases: Sequence[TraceCase]) -> list[str]:
    """Return how ours stands to the targets, which are for a start-up time of 120 s."""
    rows = []
    for case in cases:
        if case.name not in TARGETS:
            continue
        key = (case.name, OURS)
        slo, cost, flaps = (
            figures.mean(key, name) for name in ("sloAttainmentPercent", "costVsOracle", "flapsPerHour")
        )
        want_slo, want_cost, want_flaps = TARGETS[case.name]
        met = round(slo, 2) >= want_slo and round(cost, 2) <= want_cost and round(flaps) <= want_flaps
        wanted = f">= {want_slo} @<= {want_cost} (<= {want_flaps:.0f})"
        rows.append([case.name, f"{slo:.2f} @{cost:.2f} ({flaps:.1f})", wanted, "met" if met else "missed"])
    return markdown(["trace", "ours", "target", ""], rows) if rows else ["none of the targets' traces was replayed"]


def fault_table(runs: Sequence[Played], policies: Sequence[str]) -> list[str]:
    """Return the Markdown table of the fault runs: one row per fault."""
    by_key = {(run.task.fault, run.task.policy): run for run in runs}
    names = list(dict.fromkeys(run.task.fault for run in runs))
    rows = [[name, *(_fault_cell(by_key[name, policy]) for policy in policies)] for name in names]
    return markdown(["fault", *policies], rows)


def pareto(runs: Sequence[Played]) -> list[str]:
    """Return, per trace, the points of the sweep that no other point beats in both, by cost."""
    lines = []
    for trace in dict.fromkeys(run.task.trace for run in runs):
        here = [run for run in runs if run.task.trace == trace]
        points = [(_figure(run, "sloAttainmentPercent"), _figure(run, "costVsOracle")) for run in here]
        front = sorted(
            (cost, f"{run.task.policy} x{run.task.told:g}: {slo:.2f} @{cost:.2f}")
            for run, (slo, cost), best in zip(here, points, pareto_front(points), strict=True)
            if best and slo > max(points)[0] - SHOWN_POINTS
        )
        lines.append(f"- {trace}: " + "; ".join(said for _, said in front))
    return lines


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table with aligned columns."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    ]


def as_json(runs: Iterable[Played]) -> list[Mapping[str, Any]]:
    """Return every run with its figures."""
    return [
        {**vars(run.task), "faults": list(run.task.faults), "blindScaleDowns": run.blind_downs, **run.figures}
        for run in runs
    ]


def _figure(run: Played, name: str) -> float:
    return float(run.figures[name] or 0.0)


def _said(found: Difference) -> str:
    slo, cost = found.slo, found.cost
    return (
        f"SLO {slo.value:+.2f} points [{slo.low:+.2f}, {slo.high:+.2f}], "
        f"cost {cost.value:+.2f} [{cost.low:+.2f}, {cost.high:+.2f}]"
    )


def _fault_cell(run: Played) -> str:
    blind = f", {run.blind_downs} blind downs" if run.blind_downs else ""
    return f"{run.figures['sloAttainmentPercent']:.2f} @{run.figures['costVsOracle']:.2f}{blind}"
