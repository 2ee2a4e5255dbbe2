"""How good the routing is and what it costs: `python benchmarks/routing/run.py FILE`, FILE as for `autoglm route eval`.

Prints, beside prompt length and chance: the shipped weights on all rows and on every fold of domains, weights trained
on the rest of the rows (same domains) and on the rest of the domains (other domains), and CPU time per query.
`make bench` without the variable AUTOGLM_OUTCOMES measures the CPU time only.
"""

import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from autoglm_cli import training
from autoglm_cli.outcomes import Outcome, read_outcomes
from autoglm_cli.quality import Labels, difference, of_random, quality
from autoglm_gateway.features import Asked
from autoglm_gateway.score import Scorer
from autoglm_gateway.weights import DEFAULT, Weights

_FOLDS = 5
_SAMPLES = {
    "English, 300 characters": (
        "A customer asks how the parcel that was sent on Monday could be at the wrong address, as the label on the box "
        "shows the right one, and whether the shop would send a new one at no cost or pay the money back, because the "
        "present is for a birthday next week and the person who ordered it is away until then, so please say"
    ),
    "Chinese, 300 characters": "\u8bf7\u95ee\u8fd9\u4e2a\u5305\u88f9\u4ec0\u4e48\u65f6\u5019\u5230\u5462" * 25,
    "English, 4,000 characters": "the parcel that was sent on Monday is at the wrong address and " * 63,
}


def microseconds(work: Callable[[], object], times: int = 300, rounds: int = 30) -> float:
    """Return the CPU time of one call in the best of many rounds."""
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(times):
            work()
        best = min(best, time.process_time() - start)
    return best / times * 1e6


def table_weights() -> Weights:
    """Return weights with a full table: the cost does not depend on the values."""
    return Weights(bias=-1, features={"work": 1, "numbers": 1}, scale=0.01, table=[1] * training.SLOTS)


def print_cost(console: Console) -> None:
    """Print CPU time per query."""
    table = Table("CPU microseconds per query", "shipped", "trained")
    scorers = Scorer(DEFAULT), Scorer(table_weights())
    for name, text in _SAMPLES.items():
        asked = Asked(text, len(text))
        times = 300 if len(text) < 1000 else 30
        table.add_row(name, *(f"{microseconds(partial(one.score, asked), times):.1f}" for one in scorers))
    console.print(table)


def print_quality(console: Console, outcomes: list[Outcome]) -> None:
    """Print the RouteLLM measures of all rankings."""
    labels = labels_of(outcomes)
    length = np.array([float(len(outcome.question)) for outcome in outcomes])
    shipped = scores_of(DEFAULT, outcomes)
    table = Table(f"{len(outcomes)} queries", "APGR", "CPT50 %", "CPT80 %", "APGR over length, 95 %")
    rankings = {
        "shipped weights (set on these rows)": shipped,
        "trained, same domains (held-out rows)": training.held_out_scores(outcomes, by_domain=False),
        "trained, other domains (held-out domains)": training.held_out_scores(outcomes, by_domain=True),
        "prompt length": length,
    }
    for name, scores in rankings.items():
        low, high = difference(scores, length, labels, draws=200)
        table.add_row(name, *figures(quality(scores, labels)), f"{low:+.3f} to {high:+.3f}")
    table.add_row("chance", *figures(of_random(labels)), "")
    console.print(table)
    print_folds(console, outcomes, shipped, length)


def print_folds(console: Console, outcomes: list[Outcome], shipped: Any, length: Any) -> None:
    """Print the shipped weights beside length on random groups of domains."""
    domains = sorted({outcome.domain for outcome in outcomes})
    order = np.random.default_rng(0).permutation(len(domains))
    table = Table("groups of domains", "queries", "shipped", "length")
    for fold in range(_FOLDS):
        group = {domains[place] for place in order[fold::_FOLDS]}
        rows = np.array([number for number, outcome in enumerate(outcomes) if outcome.domain in group])
        part = labels_of(outcomes).take(rows)
        both = (quality(scores[rows], part).apgr for scores in (shipped, length))
        table.add_row(str(fold + 1), str(len(rows)), *(f"{apgr:.3f}" for apgr in both))
    console.print(table)


def labels_of(outcomes: list[Outcome]) -> Labels:
    """Return what both models made of the queries."""
    weak = np.array([outcome.weak_correct for outcome in outcomes])
    return Labels(weak, np.array([outcome.strong_correct for outcome in outcomes]))


def scores_of(weights: Weights, outcomes: list[Outcome]) -> Any:
    """Return the score of every query."""
    scorer = Scorer(weights)
    return np.array([scorer.score(training.asked_by(outcome)) for outcome in outcomes])


def figures(found: Any) -> tuple[str, str, str]:
    """Return the measures as text."""
    return f"{found.apgr:.3f}", f"{found.cpt50:.1f}", f"{found.cpt80:.1f}"


def main() -> None:
    """Measure."""
    console = Console(width=120)
    print_cost(console)
    path = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("AUTOGLM_OUTCOMES")
    if path is None:
        print("no outcomes given: quality is not measured")
        return
    print_quality(console, [outcome for outcome in read_outcomes(Path(path)) if not outcome.contaminated])


if __name__ == "__main__":
    main()
