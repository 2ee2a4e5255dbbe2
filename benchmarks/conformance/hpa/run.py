"""Our HPA against kube-controller-manager's own code, case by case.

    python benchmarks/conformance/hpa/run.py [--cases N] [--seed N] [--record FILE]

Builds a small program around the sources of kubernetes 1.36.3 (needs Go and, once, the Go module proxy; the local
cluster's build shares its cache), asks it cases drawn by chance, and compares every size, reason, condition and record.
`--record` writes the cases with upstream's answers, one a line, for tests that must do without Go.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any, Final

from draw import drawn

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parents[2]
sys.path.insert(0, str(ROOT / "tests"))
from support.hpa_cases import differences  # noqa: E402 - the tests' translation of cases is used here, too

KUBERNETES: Final = "k8s.io/kubernetes"
SOURCES: Final = "pkg/controller/podautoscaler"
SHOWN: Final = 5
KEPT_PER_REASON: Final = 12


def built(directory: Path) -> Path:
    """Build the program in a directory; returns its path."""
    shutil.copytree(
        ROOT / "localcluster" / "kube", directory, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.go")
    )
    go = shutil.which("go") or "/usr/local/go/bin/go"
    found = subprocess.run(
        [go, "list", "-mod=mod", "-m", "-f", "{{.Dir}}", KUBERNETES],
        cwd=directory,
        check=True,
        capture_output=True,
        text=True,
    )
    package = directory / "podautoscaler"
    package.mkdir(exist_ok=True)
    for source in (Path(found.stdout.strip()) / SOURCES).glob("*.go"):
        if not source.name.endswith("_test.go"):
            (package / source.name).write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    shutil.copy(HERE / "upstream.go", package / "zz_upstream.go")
    shutil.copy(HERE / "main.go", directory / "main.go")
    subprocess.run([go, "build", "-mod=mod", "-o", "upstream", "."], cwd=directory, check=True)
    return directory / "upstream"


def asked(program: Path, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return upstream's answers."""
    lines = "".join(json.dumps(case) + "\n" for case in cases)
    done = subprocess.run([program], input=lines, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def recorded(cases: list[dict[str, Any]], answers: list[dict[str, Any]]) -> list[str]:
    """Return lines to keep: of each pair of reasons the first few."""
    kept: Counter[tuple[str, str]] = Counter()
    lines = []
    for case, answer in zip(cases, answers, strict=True):
        reasons = answer["LimitReason"], answer["AbleReason"]
        kept[reasons] += 1
        if kept[reasons] <= KEPT_PER_REASON:
            lines.append(json.dumps({"case": case, "upstream": answer}, separators=(",", ":")) + "\n")
    return lines


def options() -> argparse.Namespace:
    """Return the command line's options."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoglm" / "hpa-conformance-1.36.3"
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=Path)
    parser.add_argument("--build", type=Path, default=cache)
    return parser.parse_args()


def main() -> int:
    """Compare and tell; 1 when anything differs."""
    chosen = options()
    program = chosen.build / "upstream"
    if not program.exists():
        program = built(chosen.build)
    chance = Random(chosen.seed)
    cases = [drawn(chance) for _ in range(chosen.cases)]
    answers = asked(program, cases)
    found = [
        (case, differs) for case, answer in zip(cases, answers, strict=True) if (differs := differences(case, answer))
    ]
    for case, differs in found[:SHOWN]:
        print(differs, json.dumps(case))
    reasons = Counter(answer["LimitReason"] or "no metric was used" for answer in answers)
    print(f"{len(cases)} cases, {len(found)} differ; {dict(reasons)}")
    if chosen.record:
        chosen.record.write_text("".join(recorded(cases, answers)), encoding="utf-8")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
