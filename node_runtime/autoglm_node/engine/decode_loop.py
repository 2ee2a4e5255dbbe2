"""Continuous batching: between any two tokens, sequences may join and leave the batch.

The loop owns a fixed number of slots, each with room for one sequence's keys and values. The running sequences
always fill slots 0..n-1, so that one decode run covers exactly them; when one ends, the last one moves into its
place. A prompt that is read in chunks holds the last slot until it is read. Not thread-safe: one thread drives a loop.
"""

import math
from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import Protocol

from autoglm_node.engine.packing import Batching, InWork, Plan, plan
from autoglm_node.engine.sampling import Scores, StepScores
from autoglm_node.engine.sequence import Sequence, TokenEvent, TooLongError
from autoglm_node.engine.slots import Chunked, Running, prompted


class SlotModel(Protocol):
    """A model with numbered slots for keys and values; scores are [rows, vocabulary]."""

    def prefill(self, slot: int, prompts: Items[Items[int]]) -> Scores:
        """Start sequences in `slot` and those after it; the scores after the longest prompts are right, others not."""

    def extend(self, slot: int, input_ids: Items[int], held: int) -> Scores:
        """Append tokens to a slot that holds `held` tokens; return the scores [1, vocabulary] after the last."""

    def decode(self, tokens: list[int], lengths: list[int]) -> Scores:
        """Append `tokens[i]` to slot i, which holds `lengths[i]` tokens; return the new scores."""

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` tokens that slot `source` holds to slot `target`."""


@dataclass(slots=True)
class Counts:
    """What the loop has done since it was made."""

    prompt_tokens: int = 0
    padded_tokens: int = 0
    packs: int = 0
    steps: int = 0


class DecodeLoop:
    """Schedules sequences over the slots of a model, one token of each per step."""

    def __init__(
        self, model: SlotModel, slots: int, max_sequence_tokens: int, batching: Batching | None = None
    ) -> None:
        """Drive `model` with `slots` slots of `max_sequence_tokens` tokens (prompt and reply)."""
        self._model = model
        self._slots = slots
        self._max_tokens = max_sequence_tokens
        self.batching = batching or Batching()
        self.counts = Counts()
        self._waiting: list[tuple[Sequence, float]] = []
        self._running: list[Running] = []
        self._chunked: Chunked | None = None

    @property
    def waiting(self) -> int:
        """Sequences without a slot."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Sequences in a slot."""
        return len(self._running) + (self._chunked is not None)

    @property
    def replying(self) -> int:
        """Sequences that get a token with every step."""
        return len(self._running)

    @property
    def cached_tokens(self) -> int:
        """Tokens whose keys and values are held in slots."""
        return sum(running.length for running in self._running) + (self._chunked.read if self._chunked else 0)

    @property
    def idle(self) -> bool:
        """Whether a step would do nothing, whenever it came."""
        return not (self._waiting or self.running)

    def by_bucket(self) -> list[int]:
        """Return how many sequences of each bucket hold a slot."""
        counted = [0] * len(self.batching.buckets)
        for held in self._running:
            counted[held.bucket] += 1
        if self._chunked is not None:
            counted[self._chunked.bucket] += 1
        return counted

    def oldest_wait(self, now: float) -> float:
        """Return for how many seconds the oldest sequence without a slot has waited; 0 when there is none."""
        return now - self._waiting[0][1] if self._waiting else 0.0

    def submit(self, sequence: Sequence, now: float = 0.0) -> None:
        """Queue a sequence that arrives at `now` (seconds of any clock that `step` shares).

        Raises:
            TooLongError: the prompt is empty or leaves no room for a single reply token.
        """
        if not 0 < len(sequence.input_ids) < self._max_tokens:
            raise TooLongError(
                f"the prompt has {len(sequence.input_ids)} tokens; between 1 and {self._max_tokens - 1} fit"
            )
        self._waiting.append((sequence, now))

    def cancel(self, sequence_id: int) -> bool:
        """Drop a sequence, free its slot at once, and say whether it was known."""
        if self._chunked is not None and self._chunked.sequence.id == sequence_id:
            self._chunked = None
            return True
        for index, running in enumerate(self._running):
            if running.sequence.id == sequence_id:
                self._release(index)
                return True
        before = len(self._waiting)
        self._waiting = [entry for entry in self._waiting if entry[0].id != sequence_id]
        return len(self._waiting) < before

    def held_seconds(self, now: float) -> float:
        """Return for how long a step would do nothing unless something arrives: newcomers wait for company."""
        if self.running or not self._waiting or self._ripe(now):
            return 0.0
        return self._waiting[0][1] + self.batching.queue_delay_seconds - now

    def step(self, now: float = math.inf) -> list[TokenEvent]:
        """Produce one token for every running sequence and read prompts of newcomers."""
        self.counts.steps += 1
        events = self._decode() if self._running else []
        return events + self._read(now)

    def _decode(self) -> list[TokenEvent]:
        batch = list(self._running)
        scores = StepScores(self._model.decode([r.last for r in batch], [r.length for r in batch]))
        for running in batch:
            running.length += 1
        events = [running.advance(scores, row, self._max_tokens) for row, running in enumerate(batch)]
        # From the last slot down, so that an index is still right when its turn comes.
        for index in reversed(range(len(batch))):
            if events[index].finish_reason:
                self._release(index)
        return events

    def _read(self, now: float) -> list[TokenEvent]:
        ripe = bool(self._waiting) and self.running < self._slots and self._ripe(now)
        if not ripe and self._chunked is None:
            return []
        queue = [sequence for sequence, _ in self._waiting] if ripe else []
        decided = plan([len(sequence.input_ids) for sequence in queue], self._in_work(), self.batching)
        if decided.begins is not None:
            long = queue[decided.begins]
            self._chunked = Chunked(long, self.batching.bucket_of(len(long.input_ids)))
        self._forget(decided)
        events = self._read_chunk(decided.chunk)
        for pack in decided.packs:
            events += self._read_pack([queue[place] for place in pack])
        return events

    def _ripe(self, now: float) -> bool:
        """Whether newcomers have waited long enough for company, or there is no place for more."""
        full = len(self._waiting) >= self._slots - self.running
        return full or now - self._waiting[0][1] >= self.batching.queue_delay_seconds

    def _in_work(self) -> InWork:
        remaining = self._chunked.remaining if self._chunked else 0
        return InWork(self.by_bucket(), self._slots - self.running, remaining)

    def _forget(self, decided: Plan) -> None:
        """Take the prompts that are read now out of the queue."""
        gone = {place for pack in decided.packs for place in pack}
        if decided.begins is not None:
            gone.add(decided.begins)
        self._waiting = [entry for place, entry in enumerate(self._waiting) if place not in gone]

    def _read_chunk(self, tokens: int) -> list[TokenEvent]:
        chunked = self._chunked
        if chunked is None:
            return []
        top = self._slots - 1
        ids = chunked.sequence.input_ids[chunked.read : chunked.read + tokens]
        scores = self._model.extend(top, ids, chunked.read)
        chunked.read += len(ids)
        self._count(len(ids), len(ids))
        if chunked.remaining:
            return []
        self._chunked = None
        if top != len(self._running):
            self._model.move(top, len(self._running), chunked.read)
        return self._begin(prompted(chunked.sequence, chunked.bucket), StepScores(scores))

    def _read_pack(self, sequences: list[Sequence]) -> list[TokenEvent]:
        # The longest first: those that get their first token here may end with it and leave.
        sequences = sorted(sequences, key=lambda sequence: -len(sequence.input_ids))
        longest = len(sequences[0].input_ids)
        scores = self._model.prefill(len(self._running), [sequence.input_ids for sequence in sequences])
        self._count(sum(len(sequence.input_ids) for sequence in sequences), longest * len(sequences))
        drawn = StepScores(scores)
        first, events = len(self._running), []
        for sequence in sequences:
            self._running.append(prompted(sequence, self.batching.bucket_of(len(sequence.input_ids))))
        # From the last slot down, as in _decode. Of a padded prompt the next decode run feeds the last token again.
        for row in reversed(range(len(sequences))):
            if len(sequences[row].input_ids) == longest:
                running = self._running[first + row]
                running.length += 1
                event = running.advance(drawn, row, self._max_tokens)
                events.append(event)
                if event.finish_reason:
                    self._release(first + row)
        return events[::-1]

    def _begin(self, running: Running, scores: StepScores) -> list[TokenEvent]:
        running.length += 1
        event = running.advance(scores, 0, self._max_tokens)
        if not event.finish_reason:
            self._running.append(running)
        return [event]

    def _count(self, prompt_tokens: int, padded_tokens: int) -> None:
        self.counts.prompt_tokens += prompt_tokens
        self.counts.padded_tokens += padded_tokens
        self.counts.packs += 1

    def _release(self, index: int) -> None:
        last = self._running.pop()
        if index < len(self._running):
            self._model.move(len(self._running), index, last.length)
            self._running[index] = last
