"""Our scaling engine beside published rules, on the same traces: SLO attainment, cost, flaps, and what faults do.

    python benchmarks/scaling/run.py [--quick] [--data DIR] [--out DIR] [--policies NAME,...] [--processes N]

Fluid simulation, start-up times of 40, 120 and 300 s, an objective of at most 2 s of waiting. A replica's capacity is
such that a trace's highest minute needs 40 replicas (5 where the trace has only a few queries/s); from 1 to 2.5 times
that many are allowed. Prints tables and writes them, with every figure as JSON. Confidence: paired bootstrap over
windows of five minutes, all seeds of a generated trace together.
"""

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from cases import EVENING_NAME, TraceCase, evening, faults, made, real
from play import Played, Task, played
from report import OURS, Figures, as_json, fault_table, losses, pareto, table, targets

from autoglm_operator.simulate.policies import POLICIES, UnknownPolicyError, factory_of

ROOT: Final = Path(__file__).resolve().parents[2]
STARTUPS: Final = (40, 120, 300)
FAULT_STARTUP: Final = 120
SWEPT: Final = ("ramp", "bursts", "flash-sale", "azure conv", "m-large ramp 2h")
TOLD: Final = (0.625, 0.75, 0.875, 1.0, 1.125, 1.25)
"""Eighths, so that the slots (8) stay whole numbers."""
LEGEND: Final = (
    "Cells: SLO% @ cost over the oracle's (flaps/h). The sign says how ours does against that policy, from a paired "
    "bootstrap at 95 %: + surely better in SLO or cost and not worse in the other, - the reverse, ~ a trade, = nothing "
    "sure."
)
SWEEP_LEGEND: Final = (
    "Every policy plans with 5/8 to 10/8 of a replica's capacity and slots; shown is what nothing beats in both SLO "
    "and cost. hpa-utilization and static do not look at the capacity so, and ours corrects it by what it sees."
)
_cases: dict[str, TraceCase] = {}
"""Filled before the processes fork, so that each sees the traces without reading them again."""


def tasks(cases: Sequence[TraceCase], policies: Sequence[str], startups: Sequence[int]) -> Iterator[Task]:
    """Yield every run without faults, the long ones first."""
    by_length = sorted(cases, key=lambda case: -case.rates[0].seconds)
    for case in by_length:
        for seed in range(len(case.rates)):
            for startup in startups:
                yield from (Task(case.name, seed, startup, policy) for policy in policies)


def fault_tasks(case: TraceCase, policies: Sequence[str]) -> Iterator[Task]:
    """Yield every run with a fault."""
    for name, written in faults(case.rates[0]).items():
        yield from (Task(case.name, 0, FAULT_STARTUP, policy, name, tuple(written)) for policy in policies)


def sweep_tasks(cases: Sequence[TraceCase], policies: Sequence[str]) -> Iterator[Task]:
    """Yield the runs of the Pareto front: each policy plans with less or more of a replica."""
    for case in cases:
        if case.name in SWEPT:
            for told in TOLD:
                yield from (Task(case.name, 0, FAULT_STARTUP, policy, "sweep", (), told) for policy in policies)


def usable(wanted: str) -> list[str]:
    """Return the policies of a comma-separated list that can be used; says which cannot."""
    names = []
    for name in wanted.split(","):
        try:
            factory_of(name)
        except UnknownPolicyError as error:
            print(f"left out: {error}")
            continue
        names.append(name)
    return names


def run_one(task: Task) -> Played:
    """Run a task in a process of the pool."""
    case = _cases[task.trace]
    return played(task, case.rates[task.seed], case.capacity_tokens, case.max_replicas)


def machine() -> dict[str, Any]:
    """Return where and with what this was measured."""
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {
        "machine": platform.machine(),
        "system": platform.system(),
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("numpy", "pydantic")},
        "commit": commit.stdout.strip() or None,
    }


def replay_all(cases: Sequence[TraceCase], policies: Sequence[str], options: argparse.Namespace) -> list[Played]:
    """Replay everything over the processes."""
    startups = STARTUPS[1:2] if options.quick else STARTUPS
    hurt = evening()
    _cases.update({case.name: case for case in (*cases, hurt)})
    work = list(tasks(cases, policies, startups))
    if not options.quick:
        work += [*fault_tasks(hurt, policies), *sweep_tasks(cases, policies)]
    print(f"{len(work)} runs of {len(policies)} policies over {options.processes} processes", flush=True)
    with get_context("fork").Pool(options.processes) as pool:
        return pool.map(run_one, work, chunksize=1)


def tables(runs: Sequence[Played], cases: Sequence[TraceCase], policies: Sequence[str]) -> list[str]:
    """Return the report."""
    clean = [run for run in runs if run.task.fault == "none" and run.task.trace in {case.name for case in cases}]
    by_startup = {
        startup: Figures(run for run in clean if run.task.startup_seconds == startup)
        for startup in sorted({run.task.startup_seconds for run in clean})
    }
    lines = ["# Scaling policies side by side", "", LEGEND, ""]
    for startup, figures in by_startup.items():
        lines += [f"## Start-up {startup} s", "", *table(figures, cases, policies), ""]
    if OURS in policies:
        lost = [line for at, figures in by_startup.items() for line in losses(figures, cases, policies, at)]
        lines += ["## Where ours loses", "", *(lost or ["nowhere clearly"]), ""]
        lines += ["## Targets at a start-up of 120 s", "", *targets(by_startup[FAULT_STARTUP], cases), ""]
    swept = [run for run in runs if run.task.fault == "sweep"]
    if swept:
        lines += ["## Pareto front of the target (start-up 120 s)", "", SWEEP_LEGEND, "", *pareto(swept), ""]
    hurt = [run for run in runs if run.task.trace == EVENING_NAME]
    if hurt:
        lines += [f"## Faults (eight hours of the generated day, start-up {FAULT_STARTUP} s)", ""]
        lines += [*fault_table(hurt, policies), ""]
    return lines


def parsed(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short traces, one start-up time, no faults")
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data", help="directory of real traces")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench-scaling")
    parser.add_argument("--policies", default=",".join(POLICIES))
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args(argv)


def main() -> None:
    """Replay, print, write."""
    options, began = parsed(), time.perf_counter()
    policies = usable(options.policies)
    cases = [*made(quick=options.quick), *real(options.data, quick=options.quick)]
    runs = replay_all(cases, policies, options)
    lines = tables(runs, cases, policies)
    lines.append(f"{len(runs)} runs in {time.perf_counter() - began:.0f} s.")
    print("\n".join(lines))
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "report.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    record = {**machine(), "runs": as_json(runs)}
    (options.out / "report.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"written to {options.out}")


if __name__ == "__main__":
    main()
