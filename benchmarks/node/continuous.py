"""Continuous against static batching, on the same slots: all at once, and as queries come."""

import random
import statistics
from collections.abc import Callable, Sequence
from typing import Final

from engine import Outcome, at_once, run, run_open, run_static
from load import as_in_the_trace, even, median, p95, poisson, queries, verdict

from autoglm_node.engine.artifact import ServedModel
from autoglm_node.engine.sequence import Sequence as Query

GOAL: Final = 2.0
QUERIES: Final = 96
SHARES: Final = (0.2, 0.35, 0.5, 0.65, 0.8, 0.9)  # of what continuous batching does at most
FIRST_TOKEN_SECONDS: Final = 0.5  # for 95 % of the queries

Lengths = Callable[[random.Random], Callable[[], int]]


def continuous(model: ServedModel, rounds: int) -> None:
    """Print tokens per second and first-token times of both ways to batch."""
    for title, lengths in (("replies of 8..128 tokens", even), ("replies as in Azure's trace", as_in_the_trace)):
        for slots in (8, 32):
            _all_at_once(model, rounds, f"{title}, {slots} slots, all at once", lengths, slots)
    _as_they_come(model, rounds)


def _asked(lengths: Lengths, count: int = QUERIES) -> list[Query]:
    rng = random.Random(5)
    return queries(count, lambda: rng.randint(12, 40), lengths(rng))


def _all_at_once(model: ServedModel, rounds: int, title: str, lengths: Lengths, slots: int) -> None:
    asked = _asked(lengths)
    static, ours = list[Outcome](), list[Outcome]()
    for _ in range(rounds):
        static.append(run_static(model, slots, at_once(asked)))
        ours.append(run(model, slots, asked, len(asked))[0])
    rates = [median(outcomes, lambda outcome: outcome.tokens_per_second) for outcomes in (static, ours)]
    firsts = [median(outcomes, lambda outcome: statistics.mean(outcome.first_token)) for outcomes in (static, ours)]
    print(f"{title}: fewer steps by {steps_saved(asked, slots):.2f}x at most")
    for name, rate, first in zip(("static", "continuous"), rates, firsts, strict=True):
        print(f"  {name}: {rate:.0f} tokens/s, first token after {1e3 * first:.0f} ms on average")
    verdict(f"tokens/s: {rates[1] / rates[0]:.2f}x", good=rates[1] >= GOAL * rates[0])
    verdict(f"first token: {firsts[1] / firsts[0]:.2f}x the time", good=firsts[1] < firsts[0])


def steps_saved(asked: Sequence[Query], slots: int) -> float:
    """Return static batching's decode runs over the fewest that could produce the same tokens in these slots."""
    lengths = [query.max_tokens for query in asked]
    batches = [max(lengths[first : first + slots]) for first in range(0, len(lengths), slots)]
    return sum(batches) / max(*lengths, sum(lengths) / slots)


def _as_they_come(model: ServedModel, rounds: int) -> None:
    """Print the highest rate of arrivals at which first tokens come in time, for both ways."""
    asked, slots = _asked(as_in_the_trace, 2 * QUERIES), 32
    most = run(model, slots, asked, len(asked))[0].queries_per_second
    print(f"as they come, {slots} slots; in time: 95 % of first tokens within {1e3 * FIRST_TOKEN_SECONDS:.0f} ms")
    best = {"static": 0.0, "continuous": 0.0}
    for share in SHARES:
        arrivals, waits = poisson(asked, share * most), dict[str, float]()
        for name, way in (("static", run_static), ("continuous", run_open)):
            outcomes = [way(model, slots, arrivals) for _ in range(rounds)]
            waits[name] = median(outcomes, lambda outcome: p95(outcome.first_token))
            if waits[name] <= FIRST_TOKEN_SECONDS:
                best[name] = share * most
        told = ", ".join(f"{name} {1e3 * wait:.0f} ms" for name, wait in waits.items())
        print(f"  {share * most:.0f} queries/s: first token within (95 %) {told}", flush=True)
    told = ", ".join(f"{name} {rate:.0f}" for name, rate in best.items())
    verdict(f"queries/s in time: {told}", good=best["continuous"] >= GOAL * best["static"])
