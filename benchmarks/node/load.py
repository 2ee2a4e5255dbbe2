"""Queries of the benchmarks of the engine, and how their figures are told."""

import math
import random
import statistics
from collections.abc import Callable, Sequence
from typing import Final

from engine import Arrivals, Outcome

from autoglm_node.engine.sequence import Sequence as Query

# Replies of Azure's published conversation trace (2023) are nearly log-normal: median 151 tokens, sigma 0.86, 99 %
# below 601.
# Here at a quarter of that, since the shop's models hold 512 tokens.
REPLY_MEDIAN: Final = 37.8
REPLY_SIGMA: Final = 0.86
REPLY_MOST: Final = 150


def queries(count: int, prompts: Callable[[], int], replies: Callable[[], int], first: int = 0) -> list[Query]:
    """Return queries with drawn lengths; nothing ends them early."""
    rng = random.Random(1)
    return [
        Query(first + number, tuple(rng.randrange(6, 600) for _ in range(prompts())), max_tokens=replies())
        for number in range(count)
    ]


def even(rng: random.Random) -> Callable[[], int]:
    """Return a source of reply lengths of 8..128 tokens."""
    return lambda: rng.randint(8, 128)


def as_in_the_trace(rng: random.Random) -> Callable[[], int]:
    """Return a source of reply lengths as people get them."""
    return lambda: max(2, min(REPLY_MOST, round(rng.lognormvariate(math.log(REPLY_MEDIAN), REPLY_SIGMA))))


def poisson(asked: Sequence[Query], rate: float, seed: int = 7) -> Arrivals:
    """Return queries that come at random, `rate` a second."""
    rng, at, made = random.Random(seed), 0.0, list[tuple[float, Query]]()
    for query in asked:
        at += rng.expovariate(rate)
        made.append((at, query))
    return made


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]


def median(outcomes: Sequence[Outcome], figure: Callable[[Outcome], float]) -> float:
    """Return the median of a figure over rounds."""
    return statistics.median(figure(outcome) for outcome in outcomes)


def verdict(text: str, *, good: bool) -> None:
    """Print a figure beside whether its goal is met."""
    print(f"  {text} - {'met' if good else 'MISSED'}", flush=True)
