"""Prompts of mixed lengths that are there at once: packs against one padded batch and against a copy for each bucket.

Each way runs in a process of its own, so that its greatest memory is its own.
"""

import json
import random
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from engine import ROOM, Clock, model_of, run
from load import queries, verdict

from autoglm_node.engine.artifact import ServedModel
from autoglm_node.engine.packing import Batching, Bucket
from autoglm_node.engine.sequence import Sequence as Query

SLOTS: Final = 32
GOAL_PADDING: Final = 0.15
# The shop models hold 512 tokens: the resource's default buckets at a quarter of their lengths.
SCALED: Final = Batching((Bucket(127, 32), Bucket(256, 16), Bucket(ROOM, 8)))


class Read(NamedTuple):
    """Seconds of CPU, share of padding among what was read, and the process's greatest memory in bytes."""

    seconds: float
    padding: float
    resident: int


def mixed() -> list[Query]:
    """Return 48 prompts, most of them short."""
    rng = random.Random(4)
    bounds = ((4, 100), (128, 256), (270, 480))
    return queries(48, lambda: rng.randint(*rng.choices(bounds, (70, 15, 15))[0]), lambda: 1)


def packs(name: str) -> Read:
    """Read all with our packing."""
    outcome, loop = run(model_of(name, SLOTS), SLOTS, mixed(), len(mixed()), SCALED)
    return _read(outcome.seconds, loop.counts.prompt_tokens, loop.counts.padded_tokens)


def padded(name: str) -> Read:
    """Read all in order of arrival, in batches of as many as there are slots."""
    return _batches([(model_of(name, SLOTS), SLOTS, [query.input_ids for query in mixed()])])


def copies(name: str) -> Read:
    """Read each bucket with a copy of the model of its own."""
    sorted_out: list[list[Sequence[int]]] = [[] for _ in SCALED.buckets]
    for query in mixed():
        sorted_out[SCALED.bucket_of(len(query.input_ids))].append(query.input_ids)
    caps = [bucket.max_batch_size for bucket in SCALED.buckets]
    return _batches([(model_of(name, cap), cap, prompts) for cap, prompts in zip(caps, sorted_out, strict=True)])


WAYS: Final[dict[str, Callable[[str], Read]]] = {"padded": padded, "copies": copies, "packs": packs}


def lengths(model: str, rounds: int) -> None:
    """Print padding, times and memory of the three ways."""
    seen: dict[str, list[Read]] = {way: [] for way in WAYS}
    for _ in range(rounds):
        for way, reads in seen.items():
            reads.append(_in_a_process(way, model))
    for way, reads in seen.items():
        seconds = statistics.median(read.seconds for read in reads)
        resident = statistics.median(read.resident for read in reads)
        print(f"  {way}: {1e3 * seconds:.0f} ms, padding {reads[0].padding:.1%}, at most {resident / 2**20:.0f} MiB")
    verdict(f"padding in packs: {seen['packs'][0].padding:.1%}", good=seen["packs"][0].padding <= GOAL_PADDING)


def _batches(work: list[tuple[ServedModel, int, list[Sequence[int]]]]) -> Read:
    clock, real, all_tokens = Clock(), 0, 0
    for model, size, prompts in work:
        for first in range(0, len(prompts), size):
            batch = prompts[first : first + size]
            model.prefill(0, batch)
            real += sum(map(len, batch))
            all_tokens += len(batch) * max(map(len, batch))
    return _read(clock(), real, all_tokens)


def _read(seconds: float, real: int, all_tokens: int) -> Read:
    return Read(seconds, 1 - real / all_tokens, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def _in_a_process(way: str, model: str) -> Read:
    done = subprocess.run([sys.executable, __file__, way, model], check=True, capture_output=True)
    return Read(*json.loads(done.stdout))


if __name__ == "__main__":
    print(json.dumps(WAYS[sys.argv[1]](sys.argv[2])))
