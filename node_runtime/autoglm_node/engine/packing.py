"""Which of the waiting prompts are read next, and which of them together. Pure.

Prompts of like length are read in one run, padded to the longest. Buckets of prompt length bound how many
sequences of a kind are in work at once; the token budget bounds what a step reads before the running replies
get their next token; a prompt above it is read in chunks, one such prompt at a time.

Who is oldest and may start does start, so that every query waits for its elders only.
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import Final, NamedTuple

from autoglm_api import spec as spec_models

MAX_PADDING: Final = 0.15
"""Largest share of padding among the tokens of one pack."""


PARAMETER_BATCHING: Final = "batching"
"""The parameter of config.pbtxt that has the resource's `batching` as JSON."""


class Bucket(NamedTuple):
    """At most `max_batch_size` sequences whose prompts have up to `max_tokens` tokens are in work at once."""

    max_tokens: int
    max_batch_size: int


DEFAULT_BUCKETS: Final = (Bucket(511, 32), Bucket(1024, 16), Bucket(8192, 8))


@dataclass(frozen=True, slots=True)
class Batching:
    """Bounds of one step; buckets ascend, the last one also takes what is longer."""

    buckets: tuple[Bucket, ...] = DEFAULT_BUCKETS
    token_budget: int = 512
    queue_delay_seconds: float = 0.0

    def bucket_of(self, prompt_tokens: int) -> int:
        """Return the number of the bucket of a prompt."""
        # There are a few; bisect with a key takes ten times as long, and this runs for every waiting prompt.
        for number, bucket in enumerate(self.buckets):
            if prompt_tokens <= bucket.max_tokens:
                return number
        return len(self.buckets) - 1


def batching_for(spec: spec_models.Batching) -> Batching:
    """Return the bounds that a resource sets."""
    buckets = sorted(Bucket(bucket.max_tokens, bucket.max_batch_size) for bucket in spec.buckets)
    return Batching(tuple(buckets), spec.max_step_tokens, spec.max_queue_delay_microseconds / 1e6)


class InWork(NamedTuple):
    """What holds slots: sequences by bucket, slots left, and the tokens of the chunked prompt still to be read."""

    by_bucket: Items[int]
    free_slots: int
    chunked_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What a step reads: `chunk` tokens of the prompt in chunks, which `begins` when it is not None; then `packs`.

    Prompts are named by their place in the queue.
    """

    chunk: int = 0
    begins: int | None = None
    packs: tuple[tuple[int, ...], ...] = ()


def padding(lengths: Items[int]) -> float:
    """Return the share of padding when prompts of these lengths are read together.

    >>> padding([3, 4, 5])
    0.2
    """
    return 1 - sum(lengths) / (len(lengths) * max(lengths))


def plan(queue: Items[int], work: InWork, batching: Batching) -> Plan:
    """Plan one step for prompts of these lengths in order of arrival."""
    budget = batching.token_budget
    chunk = _share(work.chunked_tokens, budget, others=bool(queue) and work.free_slots > 0)
    packer = _Packer(queue, work, batching, budget - chunk)
    begins = packer.pack(may_chunk=not chunk)
    if begins is not None:
        chunk = packer.reserved + packer.budget
    return Plan(chunk, begins, tuple(packer.packs))


def _share(remaining: int, budget: int, *, others: bool) -> int:
    """Return the next chunk: half of the budget is for prompts that need none."""
    return min(remaining, max(1, budget // 2) if others else budget)


class _Packer:
    """One pass over the queue, oldest first."""

    def __init__(self, queue: Items[int], work: InWork, batching: Batching, budget: int) -> None:
        self.packs: list[tuple[int, ...]] = []
        self.budget = budget
        self.reserved = 0
        self._queue = queue
        self._limit = batching.token_budget
        self._bucket = [batching.bucket_of(length) for length in queue]
        self._free = work.free_slots
        self._room = [b.max_batch_size - n for b, n in zip(batching.buckets, work.by_bucket, strict=True)]
        self._taken: set[int] = set()

    def pack(self, *, may_chunk: bool) -> int | None:
        """Fill `packs`; return the place of a prompt that is to be read in chunks from now on."""
        begins = None
        for place, length in enumerate(self._queue):
            if self._free <= 0:
                break
            if not self._startable(place):
                continue
            if length <= self.budget:
                self._take(self._companions(place))
            elif length > self._limit and may_chunk and begins is None and self.budget > 0:
                begins = place
                self._reserve()
                self._seat(place)
        return begins

    def _startable(self, place: int) -> bool:
        return place not in self._taken and self._room[self._bucket[place]] > 0

    def _companions(self, first: int) -> list[int]:
        """Return `first` and those of its bucket that are read with it, the most alike first."""
        own, pack = self._queue[first], [first]
        room = min(self._free, self._room[self._bucket[first]])
        others = [p for p in range(first + 1, len(self._queue)) if self._fits_beside(first, p)]
        for place in sorted(others, key=lambda place: abs(self._queue[place] - own)):
            lengths = [self._queue[member] for member in (*pack, place)]
            if len(lengths) > room or max(lengths) * len(lengths) > self.budget:
                break
            if padding(lengths) <= MAX_PADDING:
                pack.append(place)
        return pack

    def _fits_beside(self, first: int, place: int) -> bool:
        return place not in self._taken and self._bucket[place] == self._bucket[first]

    def _take(self, pack: list[int]) -> None:
        self.packs.append(tuple(pack))
        self.budget -= max(self._queue[place] for place in pack) * len(pack)
        for place in pack:
            self._seat(place)

    def _reserve(self) -> None:
        """Keep half of what is left for the prompt in chunks; it also gets what nobody else takes."""
        self.reserved = max(1, self.budget // 2)
        self.budget -= self.reserved

    def _seat(self, place: int) -> None:
        self._taken.add(place)
        self._free -= 1
        self._room[self._bucket[place]] -= 1
