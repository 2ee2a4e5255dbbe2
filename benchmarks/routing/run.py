"""How good the routing is and what it costs: `python benchmarks/routing/run.py FILE`, FILE as for `autoglm route eval`.

Prints, beside prompt length and chance: the shipped weights on all rows and on random groups of domains, weights
trained on the rest of the rows (same domains) and on the rest of the domains (other domains), and CPU time per query
(`per_query.py`).
The shipped weights were set on these rows; so their kind is also judged with weights chosen anew, from a coarse grid,
on the domains that are not in the group.
`make bench` without the variable AUTOGLM_OUTCOMES measures the CPU time only.
"""

import os
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from per_query import costs
from rich.console import Console
from rich.table import Table

from autoglm_cli import training
from autoglm_cli.outcomes import Outcome, read_outcomes
from autoglm_cli.quality import Labels, difference, of_random, quality
from autoglm_gateway.features import Features, see
from autoglm_gateway.score import Scorer
from autoglm_gateway.weights import DEFAULT, Weights

_GROUP_SIZES = (17, 8)
_GROUPS = 100


def print_cost(console: Console) -> None:
    """Print CPU time per query."""
    table = Table("what one query costs", "CPU microseconds")
    for name, cost in costs().items():
        table.add_row(name, f"{cost:.1f}")
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
    print_groups(console, outcomes, shipped, length)


def print_groups(console: Console, outcomes: list[Outcome], shipped: Any, length: Any) -> None:
    """Print the gain over length on many random groups of domains."""
    labels = labels_of(outcomes)
    rankings = {"shipped": shipped} | {str(number): ranking for number, ranking in enumerate(grid(outcomes))}
    table = Table("APGR over length", "groups", "mean", "worst 5 %", "worst", "at or above length")
    for size in _GROUP_SIZES:
        found = [gains(rankings, length, labels, held) for held in groups(outcomes, size)]
        for place, name in enumerate((f"{size} domains, shipped", f"{size} domains, chosen on the others")):
            values = np.array([both[place] for both in found])
            told = (values.mean(), np.quantile(values, 0.05), values.min())
            above = f"{(values >= 0).mean():.1%}"
            table.add_row(name, str(len(values)), *(f"{value:+.3f}" for value in told), above)
    console.print(table)


def groups(outcomes: list[Outcome], size: int) -> Iterator[Any]:
    """Yield random groups of domains, each as a mask over the rows."""
    domains = sorted({outcome.domain for outcome in outcomes})
    of = np.array([outcome.domain for outcome in outcomes])
    for seed in range(_GROUPS):
        yield np.isin(of, np.random.default_rng(seed).permutation(domains)[:size])


def grid(outcomes: list[Outcome]) -> Iterator[Any]:
    """Yield the rankings of a coarse grid of weights; `work` has the weight 1 in all of them."""
    features = np.array([see(training.asked_by(outcome)).features for outcome in outcomes])
    for numbers, repetition, chars, figures_ in product((0, 0.2), (0, 0.5, 1, 1.5), (0, 0.15), (0, -0.2, -0.4, -0.6)):
        yield features @ np.array(Features(1.0, numbers, repetition, chars, figures_))


def gains(rankings: dict[str, Any], length: Any, labels: Labels, held: Any) -> tuple[float, float]:
    """Return APGR over length on the held rows: of the shipped ranking, and of the one that is best on the others."""
    rest, inside = np.flatnonzero(~held), np.flatnonzero(held)
    others, here = labels.take(rest), labels.take(inside)
    best = max((name for name in rankings if name != "shipped"), key=lambda name: _apgr(rankings[name][rest], others))
    base = _apgr(length[inside], here)
    return _apgr(rankings["shipped"][inside], here) - base, _apgr(rankings[best][inside], here) - base


def _apgr(scores: Any, labels: Labels) -> float:
    return quality(scores, labels).apgr


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
