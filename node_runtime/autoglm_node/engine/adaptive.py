"""How much the next step takes on, so that running replies go on in time and newcomers start in time. Pure.

Bounds are what the resource sets; within them three things follow load and speed:

- **tokens of a step**: what fits in the pause that running replies may make; all when none runs.
- **queries at once, by bucket**: as many as still get their tokens in time. Longer prompts make a step longer, so their
  bucket closes sooner. When newcomers have waited for half of the time to their first token, all may start: from there
  on throughput helps more of them than steadiness does.
- **queue delay**: waiting for company pays if the next query is expected sooner than the time that reading it together
  saves.
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from autoglm_node.engine.costs import StepCosts, Work
from autoglm_node.engine.packing import Batching, Bucket

LEAST_TOKENS: Final = 32
_WEIGHT: Final = 0.1  # of the newest query in the mean gap between queries and in the mean length of its bucket
_PRESSED: Final = 0.5  # of the time to the first token that may pass before all may start


class Targets(NamedTuple):
    """How long a running reply may wait for its next token, and a query for its first one, in seconds."""

    pause_seconds: float
    first_token_seconds: float


@dataclass(frozen=True, slots=True)
class Load:
    """What the engine holds: replies, tokens in their slots, queries in work by bucket, and the oldest one's wait."""

    replies: int
    held_tokens: int
    in_work: Items[int]
    oldest_wait_seconds: float = 0.0


class Adaptive:
    """Chooses the bounds of each step, never beyond `most`."""

    def __init__(self, most: Batching, targets: Targets, costs: StepCosts | None = None) -> None:
        """Without `costs` start with no idea of the engine's speed: until some steps are done, `most` holds."""
        self._most = most
        self._targets = targets
        self.costs = costs or StepCosts()
        self._gap: float | None = None
        self._last_arrival: float | None = None
        self._lengths = [0.0] * len(most.buckets)
        self._packs = 1.0

    def arrived(self, prompt_tokens: int, now: float) -> None:
        """Take in a query that came at `now` (monotonic seconds)."""
        bucket = self._most.bucket_of(prompt_tokens)
        before = self._lengths[bucket] or prompt_tokens
        self._lengths[bucket] = before + _WEIGHT * (prompt_tokens - before)
        if self._last_arrival is not None:
            gap = now - self._last_arrival
            self._gap = gap if self._gap is None else self._gap + _WEIGHT * (gap - self._gap)
        self._last_arrival = now

    def learn(self, work: Work, seconds: float) -> None:
        """Take in what a step did, and in what time."""
        if work.packs:
            self._packs += _WEIGHT * (work.packs - self._packs)
        self.costs.learn(work, seconds)

    def choose(self, load: Load) -> Batching:
        """Return the bounds of the next step."""
        if not self.costs.known:
            return replace(self._most, queue_delay_seconds=0.0)
        left = self._targets.pause_seconds - self.costs.decode(load.replies, load.held_tokens)
        pressed = load.oldest_wait_seconds >= _PRESSED * self._targets.first_token_seconds
        return Batching(
            self._most.buckets if pressed or self._hopeless() else self._buckets(load, left),
            self._tokens(load.replies, left),
            self._delay(),
        )

    def _tokens(self, replies: int, left: float) -> int:
        most = self._most.token_budget
        if not replies or self.costs.token <= 0:
            return most
        fitting = int((left - self._packs * self.costs.pack) / self.costs.token)
        # Where not even the least fits, the pause is too long in any case: one such pause instead of many.
        return most if fitting < LEAST_TOKENS else min(most, fitting)

    def _hopeless(self) -> bool:
        """Return whether not even a single reply could go on in time while a prompt is read."""
        least = self.costs.decode(1, 0) + self.costs.pack + LEAST_TOKENS * self.costs.token
        return least > self._targets.pause_seconds

    def _buckets(self, load: Load, left: float) -> tuple[Bucket, ...]:
        # Where a long prompt is read in parts, a part of the least size must fit beside the replies.
        slack = left - LEAST_TOKENS * self.costs.token
        return tuple(
            self._closed(bucket, in_work, slack, length)
            for bucket, in_work, length in zip(self._most.buckets, load.in_work, self._lengths, strict=True)
        )

    def _closed(self, bucket: Bucket, in_work: int, slack: float, length: float) -> Bucket:
        row = self.costs.row(length)
        more = int(max(0.0, slack) / row) if row > 0 else bucket.max_batch_size
        return Bucket(bucket.max_tokens, max(1, min(bucket.max_batch_size, in_work + more)))

    def _delay(self) -> float:
        if self._gap is None or self._gap >= self.costs.pack:
            return 0.0
        return min(self._most.queue_delay_seconds, self._gap, _PRESSED * self._targets.first_token_seconds)
