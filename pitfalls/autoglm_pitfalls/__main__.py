"""`make pitfalls`: run every scenario against a plain Triton and our node runtime, and write the table of the docs."""

import argparse
import os
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from autoglm_localcluster.triton import VERSION
from autoglm_pitfalls import ending, health, queueing
from autoglm_pitfalls.scenario import Finding, Scenario

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "reference" / "pitfalls.md"
SCENARIOS: Final[tuple[Scenario, ...]] = (*queueing.SCENARIOS, *health.SCENARIOS, *ending.SCENARIOS)
_HEAD: Final = f"""# Triton's pitfalls

Written by `make pitfalls`, which runs each line anew: a plain Triton (server 2.51.0, release 24.10, from
nvidia-pytriton {VERSION}, Python backend, no GPU) beside our node runtime with the same server inside. Times are of
the machine that wrote the page; "bites" is what the scenario checks. A pitfall that did not show in the run says "no"
for the plain Triton, too: it needs another load, or that release does not have it.

| pitfall | plain Triton | bites | our node runtime | bites |
|---|---|---|---|---|
"""


def table(rows: list[tuple[Scenario, Finding, Finding]]) -> str:
    """Return the page."""
    lines = [
        f"| {one.pitfall} (`{one.name}`) | {raw.seen} | {_word(raw)} | {ours.seen} | {_word(ours)} |"
        for one, raw, ours in rows
    ]
    return _HEAD + "\n".join(lines) + "\n"


def _circumstances() -> str:
    now, load = datetime.now(UTC), os.getloadavg()[2]
    return f"\nThis run: {now:%d %B %Y}, {os.cpu_count()} cores, load average of the last 15 minutes {load:.0f}.\n"


def _word(finding: Finding) -> str:
    return "yes" if finding.bites else "no"


def run(scenario: Scenario) -> tuple[Scenario, Finding, Finding]:
    """Run both sides of a scenario."""
    with tempfile.TemporaryDirectory(prefix="pitfall-") as directory:
        raw = scenario.raw(Path(directory, "raw"))
        ours = scenario.ours(Path(directory, "ours"))
    print(f"{scenario.name}: plain: {raw.seen} | ours: {ours.seen}", flush=True)
    return scenario, raw, ours


def main() -> int:
    """Run what was asked for; the page is written only when everything ran. Exit code 1 when something bites us."""
    parser = argparse.ArgumentParser(prog="autoglm_pitfalls", description=__doc__)
    parser.add_argument("names", nargs="*", help="scenarios; default: all")
    chosen = parser.parse_args().names
    rows = [run(scenario) for scenario in SCENARIOS if not chosen or scenario.name in chosen]
    if not chosen:
        PAGE.write_text(table(rows) + _circumstances(), encoding="utf-8")
    return int(any(ours.bites for _, _, ours in rows))


if __name__ == "__main__":
    sys.exit(main())
