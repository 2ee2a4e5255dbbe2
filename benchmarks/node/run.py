"""The CPU engine's batching, side by side, on a shop model and one thread.

    python benchmarks/node/run.py [CASE ...] [--model light|large] [--rounds N]

batching    many slots against one (no batching): queries per second at no worse p95 latency. Goal: +40 %.
continuous  against static batches of the same size: all at once, and as queries come. Goal: 2x, earlier first tokens.
adaptive    bounds that follow the load against fixed ones, while it changes. Goal: at most 5 % worse than the best one.
lengths     mixed prompt lengths: packs against one padded batch. Goal: at most 15 % padding.
precision   INT8 (and PyTorch, where it is installed) against FP32: steps and memory.
costs       what a step costs, fitted as the engine does it; for tests/simulation/test_engine_adaptive.py.
chunks      how long running replies stand still while long prompts arrive, by tokens of a step.

Rounds of the contenders alternate; medians are printed. Times are CPU time of
the one thread that works; neighbours on the machine still add noise: compare ratios.
"""

import argparse
import platform
import random
import statistics
from os import cpu_count
from typing import Final

from adaptive import adaptive
from continuous import continuous
from engine import ROOM, Clock, Outcome, model_of, run
from lengths import SCALED, lengths
from load import median, p95, queries, verdict
from precision import precision

from autoglm_node.engine.adaptive import Adaptive, Targets
from autoglm_node.engine.artifact import ServedModel
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.packing import Batching
from autoglm_node.engine.sequence import Sequence as Query
from autoglm_node.engine.stepping import Stepper

SLOTS: Final = 32
UNBATCHED_CLIENTS: Final = 8
QUERIES: Final = 160
GOAL_GAIN: Final = 0.40


def batching(model: ServedModel, rounds: int) -> None:
    """Print what batching adds at no worse p95."""
    rng = random.Random(2)
    asked = queries(QUERIES, lambda: rng.randint(12, 40), lambda: rng.randint(8, 32))
    alone: list[Outcome] = []
    together: dict[int, list[Outcome]] = {clients: [] for clients in (8, 12, 16, 20, 24, 32)}
    for _ in range(rounds):
        alone.append(run(model, 1, asked, UNBATCHED_CLIENTS)[0])
        for clients, outcomes in together.items():
            outcomes.append(run(model, SLOTS, asked, clients)[0])
    bound = median(alone, lambda outcome: p95(outcome.latency))
    base = median(alone, lambda outcome: outcome.queries_per_second)
    print(f"no batching, {UNBATCHED_CLIENTS} clients: {base:.0f} queries/s, p95 {1e3 * bound:.1f} ms")
    best = 0.0
    for clients, outcomes in together.items():
        rate = median(outcomes, lambda outcome: outcome.queries_per_second)
        slow = median(outcomes, lambda outcome: p95(outcome.latency))
        best = max(best, rate) if slow <= bound else best
        print(f"batching, {clients:2} clients: {rate:.0f} queries/s, p95 {1e3 * slow:.1f} ms")
    verdict(f"throughput at no worse p95: {best / base - 1:+.0%}", good=best >= base * (1 + GOAL_GAIN))


def chunks(model: ServedModel, rounds: int) -> None:
    """Print the longest pause of a running reply while four long prompts arrive."""
    for budget in (ROOM, 256, 128, 64):
        pauses = [_pause(model, budget) for _ in range(rounds)]
        pause, first = (1e3 * statistics.median(values) for values in zip(*pauses, strict=True))
        print(f"maxStepTokens {budget:3}: longest pause {pause:.1f} ms, last long prompt read after {first:.1f} ms")


def _pause(model: ServedModel, budget: int) -> tuple[float, float]:
    loop = DecodeLoop(model, SLOTS, ROOM, Batching(SCALED.buckets, budget))
    loop.submit(Query(0, (7,) * 20, max_tokens=400))
    loop.step()
    for number in range(1, 5):
        loop.submit(Query(number, (7,) * 400, max_tokens=1))
    clock, steps = Clock(), list[float]()
    while loop.waiting or loop.running > 1:
        began = clock()
        loop.step()
        steps.append(clock() - began)
    return max(steps), clock()


def costs(model: ServedModel, _rounds: int) -> None:
    """Print what the engine learns a step to cost, from a mixed load."""
    rng = random.Random(6)
    asked = queries(300, lambda: rng.choice((rng.randint(10, 60), rng.randint(100, 400))), lambda: rng.randint(4, 60))
    clock = Clock()
    adaptive = Adaptive(SCALED, Targets(0.050, 1.0))
    stepper = Stepper(DecodeLoop(model, SLOTS, ROOM, SCALED), adaptive, clock)
    while asked or not stepper.loop.idle:
        while asked and stepper.loop.running + stepper.loop.waiting < rng.randint(0, SLOTS):
            stepper.submit(asked.pop())
        stepper.step()
    learnt = adaptive.costs
    decode, row, held = learnt.decode(1, 0) - learnt.row(0), learnt.row(0), learnt.row(1) - learnt.row(0)
    told = {"decode": decode, "row": row, "held": held, "pack": learnt.pack, "token": learnt.token}
    print("  " + ", ".join(f"{name} {1e6 * seconds:.2f} us" for name, seconds in told.items()))


CASES: Final = {"batching": batching, "continuous": continuous, "adaptive": adaptive, "chunks": chunks, "costs": costs}
OF_NAMES: Final = {"lengths": lengths, "precision": precision}
"""Cases that load models themselves."""


def main() -> None:
    """Run the named cases, or all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=", ".join((*CASES, *OF_NAMES)))
    parser.add_argument("--model", choices=("light", "large"), default="large")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    print(f"{platform.machine()}, {cpu_count()} cores, Python {platform.python_version()}, model {given.model}")
    model = model_of(given.model, SLOTS)
    for case in given.cases or (*CASES, *OF_NAMES):
        print(f"-- {case}")
        if case in CASES:
            CASES[case](model, given.rounds)
        else:
            OF_NAMES[case](given.model, given.rounds)


if __name__ == "__main__":
    main()
