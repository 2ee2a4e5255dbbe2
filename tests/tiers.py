"""Run the test tiers one after the other and print one closing line with the counts.

`python tests/tiers.py [TIER ...]`; without arguments every tier runs, the fast ones first. A tier that fails does not
stop the later ones, so that one run shows everything that is wrong. Exit status 1 when anything failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent
TIERS = ("unit", "property", "simulation", "contract", "compiled", "cluster", "e2e")
# What runs once more against the compiled gateway, which is what images have.
COMPILED = ("tests/contract/gateway", "tests/contract/hardening")
# Tests without processes and sockets do not disturb each other.
IN_PARALLEL = {"unit", "property"}
NO_TESTS_COLLECTED = 5


@dataclass(frozen=True)
class Counts:
    """How many tests of a tier ended in which way."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Counts) -> Counts:
        """Return the sums."""
        return Counts(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        """Return the line that test runners close with."""
        tail = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{tail}"


def counts_of(report: Path) -> Counts:
    """Read the counts from a JUnit report; a missing one counts as one failure (the runner itself died)."""
    if not report.exists():
        return Counts(failed=1)
    total = Counts()
    for suite in ET.parse(report).getroot().iter("testsuite"):
        every, failed, errors, skipped = (int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped"))
        total += Counts(every - failed - errors - skipped, failed + errors, skipped)
    return total


def environment() -> dict[str, str]:
    """Return ours, but bytecode is written: many tests start processes, and compiling everything anew is slow."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def folders(tier: str) -> tuple[str, ...]:
    """Return where the tests of a tier are."""
    return COMPILED if tier == "compiled" else (f"tests/{tier}",)


def compiled() -> dict[str, str]:
    """Compile the gateway; return what makes Python take it. Where that fails, the tests say so."""
    command = [sys.executable, "-m", "autoglm_localcluster", "native"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return {"PYTHONPATH": done.stdout.strip(), "AUTOGLM_COMPILED": "1"}


def shards(folder: Path, count: int) -> list[list[str]]:
    """Return the test files below a folder in so many groups of about the same size.

    Files of one folder import the same things, so they stay together where one folder is no more than one group.
    """
    files = sorted(folder.rglob("test_*.py"))
    size = {path: path.stat().st_size for path in files}
    together: dict[Path, list[Path]] = {}
    for path in files:
        together.setdefault(path.parent, []).append(path)
    share = sum(size.values()) / count
    units = [
        unit
        for parts in together.values()
        for unit in ([parts] if sum(map(size.__getitem__, parts)) <= share else [[path] for path in parts])
    ]
    groups: list[list[Path]] = [[] for _ in range(count)]
    for unit in sorted(units, key=lambda unit: -sum(map(size.__getitem__, unit))):
        min(groups, key=lambda group: sum(map(size.__getitem__, group))).extend(unit)
    return [[str(path) for path in group] for group in groups if group]


@dataclass
class Runner:
    """A pytest process with its report, and where it writes while others do the same; None: to the terminal."""

    process: subprocess.Popen[bytes]
    report: Path
    output: IO[bytes] | None = None

    def counts(self) -> Counts:
        """Wait for its end and return what came of it."""
        code = self.process.wait()
        if self.output is not None:
            self.output.seek(0)
            sys.stdout.write(self.output.read().decode(errors="replace"))
            self.output.close()
        counts = counts_of(self.report)
        failed = code not in (0, NO_TESTS_COLLECTED) and counts.failed == 0
        return counts + Counts(failed=int(failed))


def runner(tier: str, number: int, where: Sequence[str], settings: dict[str, str], *, alone: bool) -> Runner:
    """Start pytest for some files or folders."""
    report = ROOT / "build" / "tests" / (f"{tier}.xml" if alone else f"{tier}-{number}.xml")
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "pytest", *where, "-q", f"--junitxml={report}", "-o", f"cache_dir=build/{tier}"]
    if tier in {"cluster", "e2e", "contract"}:
        command.append("--durations=5")
    output = None if alone else tempfile.TemporaryFile()  # noqa: SIM115 - read when the process has ended
    process = subprocess.Popen(
        command, cwd=ROOT, env=settings, stdout=output, stderr=subprocess.STDOUT if output else None
    )
    return Runner(process, report, output)


def run_tier(tier: str) -> Counts:
    """Run one tier: in one pytest process, or in one for each processor.

    These share the files between them, so that each is read and its imports are made once; with pytest-xdist every
    worker reads all of them, which took more than half of the time of the unit tests.
    """
    (ROOT / "build" / "tests").mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    print(f"\n=== {tier}", flush=True)
    settings = environment() | (compiled() if tier == "compiled" else {})
    parts: list[Sequence[str]] = [folders(tier)]
    if tier in IN_PARALLEL:
        parts = list(shards(ROOT / "tests" / tier, os.cpu_count() or 1))
    runners = [runner(tier, number, part, settings, alone=len(parts) == 1) for number, part in enumerate(parts)]
    counts = sum((one.counts() for one in runners), Counts())
    print(f"=== {tier}: {counts} in {time.monotonic() - started:.0f} s", flush=True)
    return counts


def main(chosen: list[str]) -> int:
    """Run the chosen tiers, or all, and return the exit status."""
    wanted = [tier for tier in TIERS if tier in chosen or not chosen]
    total = sum((run_tier(tier) for tier in wanted), Counts())
    print(f"\n{total}", flush=True)
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
