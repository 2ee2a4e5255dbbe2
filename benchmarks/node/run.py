"""The CPU engine's batching, side by side, on a shop model and one thread.

    python benchmarks/node/run.py [batching|continuous|lengths|chunks ...] [--model light|large] [--rounds N]

batching    many slots against one (no batching): queries per second at no worse p95 latency. Goal: +40 %.
continuous  against static batches of the same size, reply lengths 8..128. Goal: 2x tokens/s, earlier first tokens.
lengths     mixed prompt lengths: packs against one padded batch. Goal: at most 15 % padding.
chunks      how long running replies stand still while long prompts arrive, by tokens of a step.

Rounds of the contenders alternate; medians are printed. Neighbours on the machine add noise: compare ratios, not times.
"""

import argparse
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from os import cpu_count
from typing import Final

from engine import ROOM, Outcome, model_of, run, run_static

from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.ort_model import OrtModel
from autoglm_node.engine.packing import Batching, Bucket, padding
from autoglm_node.engine.sequence import Sequence as Query

SLOTS: Final = 32
STATIC_SLOTS: Final = 8
UNBATCHED_CLIENTS: Final = 8
QUERIES: Final = 160
GOAL_GAIN: Final = 0.40
GOAL_CONTINUOUS: Final = 2.0
GOAL_PADDING: Final = 0.15
# The shop models hold 512 tokens: the resource's default buckets at a quarter of their lengths.
SCALED: Final = Batching((Bucket(127, 32), Bucket(256, 16), Bucket(ROOM, 8)))


def queries(count: int, prompts: Callable[[], int], replies: Callable[[], int]) -> list[Query]:
    """Return queries with drawn lengths; nothing ends them early."""
    rng = random.Random(1)
    return [
        Query(number, tuple(rng.randrange(6, 600) for _ in range(prompts())), max_tokens=replies())
        for number in range(count)
    ]


def p95(values: Sequence[float]) -> float:
    """Return the 95th percentile."""
    return statistics.quantiles(values, n=20)[-1]


def batching(model: OrtModel, rounds: int) -> None:
    """Print what batching adds at no worse p95."""
    rng = random.Random(2)
    asked = queries(QUERIES, lambda: rng.randint(12, 40), lambda: rng.randint(8, 32))
    alone: list[Outcome] = []
    together: dict[int, list[Outcome]] = {clients: [] for clients in (8, 12, 16, 20, 24, 32)}
    for _ in range(rounds):
        alone.append(run(model, 1, asked, UNBATCHED_CLIENTS)[0])
        for clients, outcomes in together.items():
            outcomes.append(run(model, SLOTS, asked, clients)[0])
    bound = _median(alone, lambda outcome: p95(outcome.latency))
    base = _median(alone, lambda outcome: outcome.queries_per_second)
    print(f"no batching, {UNBATCHED_CLIENTS} clients: {base:.0f} queries/s, p95 {1e3 * bound:.1f} ms")
    best = 0.0
    for clients, outcomes in together.items():
        rate = _median(outcomes, lambda outcome: outcome.queries_per_second)
        slow = _median(outcomes, lambda outcome: p95(outcome.latency))
        best = max(best, rate) if slow <= bound else best
        print(f"batching, {clients:2} clients: {rate:.0f} queries/s, p95 {1e3 * slow:.1f} ms")
    verdict(f"throughput at no worse p95: {best / base - 1:+.0%}", good=best >= base * (1 + GOAL_GAIN))


def continuous(model: OrtModel, rounds: int) -> None:
    """Print tokens per second and first-token times of both ways to batch."""
    rng = random.Random(3)
    _compare(model, rounds, "replies of 8..128 tokens", lambda: rng.randint(8, 128))
    _compare(model, rounds, "many short and few long replies", lambda: min(256, 4 + round(rng.expovariate(1 / 40))))


def _compare(model: OrtModel, rounds: int, title: str, replies: Callable[[], int]) -> None:
    rng = random.Random(5)
    asked = queries(64, lambda: rng.randint(12, 40), replies)
    static, ours = list[Outcome](), list[Outcome]()
    for _ in range(rounds):
        static.append(run_static(model, STATIC_SLOTS, asked))
        ours.append(run(model, STATIC_SLOTS, asked, len(asked))[0])
    rates = [_median(outcomes, lambda outcome: outcome.tokens_per_second) for outcomes in (static, ours)]
    firsts = [_median(outcomes, lambda outcome: statistics.mean(outcome.first_token)) for outcomes in (static, ours)]
    print(title)
    for name, rate, first in zip(("static", "continuous"), rates, firsts, strict=True):
        print(f"  {name}: {rate:.0f} tokens/s, first token after {1e3 * first:.0f} ms on average")
    verdict(f"tokens/s: {rates[1] / rates[0]:.2f}x", good=rates[1] >= GOAL_CONTINUOUS * rates[0])
    verdict(f"first token: {firsts[1] / firsts[0]:.2f}x the time", good=firsts[1] < firsts[0])


def lengths(model: OrtModel, rounds: int) -> None:
    """Print padding and times of prompts of mixed lengths that arrive at once."""
    rng = random.Random(4)

    def length() -> int:
        return rng.choices((rng.randint(4, 100), rng.randint(128, 256), rng.randint(270, 480)), (70, 15, 15))[0]

    asked = queries(48, length, lambda: 1)
    prompts = [query.input_ids for query in asked]
    packed, padded, share = list[float](), list[float](), 0.0
    for _ in range(rounds):
        outcome, loop = run(model, SLOTS, asked, len(asked), SCALED)
        packed.append(outcome.seconds)
        share = 1 - loop.counts.prompt_tokens / loop.counts.padded_tokens
        began = time.perf_counter()
        for first in range(0, len(prompts), SLOTS):
            model.prefill(0, prompts[first : first + SLOTS])
        padded.append(time.perf_counter() - began)
    whole = padding([len(prompt) for prompt in prompts])
    times = [1e3 * statistics.median(seconds) for seconds in (padded, packed)]
    print(f"batches of {SLOTS}, padded: {times[0]:.0f} ms; padding of one batch: {whole:.0%}")
    print(f"packs: {times[1]:.0f} ms ({times[0] / times[1]:.1f}x as fast)")
    verdict(f"padding in packs: {share:.1%}", good=share <= GOAL_PADDING)


def chunks(model: OrtModel, rounds: int) -> None:
    """Print the longest pause of a running reply while four long prompts arrive."""
    for budget in (ROOM, 256, 128, 64):
        pauses = [_pause(model, budget) for _ in range(rounds)]
        pause, first = (1e3 * statistics.median(values) for values in zip(*pauses, strict=True))
        print(f"maxStepTokens {budget:3}: longest pause {pause:.1f} ms, last long prompt read after {first:.1f} ms")


def _pause(model: OrtModel, budget: int) -> tuple[float, float]:
    loop = DecodeLoop(model, SLOTS, ROOM, Batching(SCALED.buckets, budget))
    loop.submit(Query(0, (7,) * 20, max_tokens=400))
    loop.step()
    for number in range(1, 5):
        loop.submit(Query(number, (7,) * 400, max_tokens=1))
    began, steps = time.perf_counter(), list[float]()
    while loop.waiting or loop.running > 1:
        stepped = time.perf_counter()
        loop.step()
        steps.append(time.perf_counter() - stepped)
    return max(steps), time.perf_counter() - began


def verdict(text: str, *, good: bool) -> None:
    """Print a figure and whether it meets its goal."""
    print(f"  {text} - {'met' if good else 'MISSED'}")


def _median(outcomes: Sequence[Outcome], figure: Callable[[Outcome], float]) -> float:
    return statistics.median(figure(outcome) for outcome in outcomes)


CASES: Final = {"batching": batching, "continuous": continuous, "lengths": lengths, "chunks": chunks}


def main() -> None:
    """Run the named cases, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=", ".join(CASES))
    parser.add_argument("--model", choices=("light", "large"), default="large")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"{platform.machine()}, {cpu_count()} cores, Python {platform.python_version()}, model {given.model}")
    model = model_of(given.model, SLOTS)
    for case in given.cases or CASES:
        print(f"-- {case}")
        CASES[case](model, given.rounds)


if __name__ == "__main__":
    main()
