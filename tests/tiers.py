"""Run the test tiers one after the other and print one closing line with the counts.

`python tests/tiers.py [TIER ...]`; without arguments every tier runs, the fast ones first. A tier that fails does not
stop the later ones, so that one run shows everything that is wrong. Exit status 1 when anything failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
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
    """Return ours, with a place for bytecode: many tests start processes, and compiling everything anew is slow."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(ROOT / "build" / "pycache")}


def folders(tier: str) -> tuple[str, ...]:
    """Return where the tests of a tier are."""
    return COMPILED if tier == "compiled" else (f"tests/{tier}",)


def compiled() -> dict[str, str]:
    """Compile the gateway; return what makes Python take it. Where that fails, the tests say so."""
    command = [sys.executable, "-m", "autoglm_localcluster", "native"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return {"PYTHONPATH": done.stdout.strip(), "AUTOGLM_COMPILED": "1"}


def run_tier(tier: str) -> Counts:
    """Run one tier in its own pytest process."""
    report = ROOT / "build" / "tests" / f"{tier}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", *folders(tier), "-q", f"--junitxml={report}"]
    if tier in IN_PARALLEL:
        command.append("--numprocesses=auto")
    if tier in {"cluster", "e2e", "contract"}:
        command.append("--durations=5")
    print(f"\n=== {tier}", flush=True)
    settings = environment() | (compiled() if tier == "compiled" else {})
    code = subprocess.run(command, cwd=ROOT, env=settings, check=False).returncode
    counts = counts_of(report)
    if code not in (0, NO_TESTS_COLLECTED) and counts.failed == 0:
        counts += Counts(failed=1)
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
