"""Continuous batching: between any two tokens, sequences may join and leave the batch.

The loop owns a fixed number of slots, each with room for one sequence's keys and values. The
running sequences always fill slots 0..n-1, so that one decode run covers exactly them; when one
ends, the last one moves into its place. Not thread-safe: one thread drives a loop.
"""

from collections import deque
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from autoglm_node.engine.sampling import Chooser, Scores, likeliest, log_softmax
from autoglm_node.engine.sequence import FinishReason, Sequence, TokenEvent, TooLongError


class SlotModel(Protocol):
    """A model with numbered slots for keys and values; scores are [rows, vocabulary]."""

    def prefill(self, slot: int, input_ids: np.ndarray) -> Scores:
        """Start a sequence in `slot`; return the scores [1, vocabulary] after its prompt."""

    def decode(self, tokens: list[int], lengths: list[int]) -> Scores:
        """Append `tokens[i]` to slot i, which holds `lengths[i]` tokens; return the new scores."""

    def move(self, source: int, target: int) -> None:
        """Copy what slot `source` holds to slot `target`."""


@dataclass(slots=True)
class _Running:
    """A sequence in a slot; `length` tokens of it are in the slot, `last` is still to be fed."""

    sequence: Sequence
    chooser: Chooser
    length: int
    last: int = 0
    produced: int = 0


class DecodeLoop:
    """Schedules sequences over the slots of a model, one token of each per step."""

    def __init__(
        self, model: SlotModel, slots: int, max_sequence_tokens: int, prefill_tokens_per_step: int = 512
    ) -> None:
        """Drive `model` with `slots` slots of `max_sequence_tokens` tokens (prompt and reply).

        A step admits newcomers until `prefill_tokens_per_step` prompt tokens were read (one
        sequence at least), which bounds how long running replies wait for newcomers.
        """
        self._model = model
        self._slots = slots
        self._max_tokens = max_sequence_tokens
        self._prefill_budget = prefill_tokens_per_step
        self._waiting: deque[Sequence] = deque()
        self._running: list[_Running] = []

    @property
    def waiting(self) -> int:
        """Sequences without a slot."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Sequences in a slot."""
        return len(self._running)

    @property
    def cached_tokens(self) -> int:
        """Tokens whose keys and values are held in slots."""
        return sum(running.length for running in self._running)

    @property
    def idle(self) -> bool:
        """Whether a step would do nothing."""
        return not (self._waiting or self._running)

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence, in order of arrival.

        Raises:
            TooLongError: the prompt is empty or leaves no room for a single reply token.
        """
        if not 0 < len(sequence.input_ids) < self._max_tokens:
            raise TooLongError(
                f"the prompt has {len(sequence.input_ids)} tokens; between 1 and {self._max_tokens - 1} fit"
            )
        self._waiting.append(sequence)

    def cancel(self, sequence_id: int) -> bool:
        """Drop a sequence, free its slot at once, and say whether it was known."""
        for index, running in enumerate(self._running):
            if running.sequence.id == sequence_id:
                self._release(index)
                return True
        kept = deque(waiting for waiting in self._waiting if waiting.id != sequence_id)
        known = len(kept) < len(self._waiting)
        self._waiting = kept
        return known

    def step(self) -> list[TokenEvent]:
        """Produce one token for every running sequence and the first one of newcomers."""
        events = self._decode() if self._running else []
        return events + self._admit()

    def _decode(self) -> list[TokenEvent]:
        batch = list(self._running)
        scores = self._model.decode([r.last for r in batch], [r.length for r in batch])
        for running in batch:
            running.length += 1
        logprobs = log_softmax(scores)
        events = [self._advance(running, logprobs[i]) for i, running in enumerate(batch)]
        # From the last slot down, so that an index is still right when its turn comes.
        for index in reversed(range(len(batch))):
            if events[index].finish_reason:
                self._release(index)
        return events

    def _admit(self) -> list[TokenEvent]:
        events: list[TokenEvent] = []
        budget = self._prefill_budget
        while self._waiting and len(self._running) < self._slots:
            tokens = len(self._waiting[0].input_ids)
            if events and tokens > budget:
                break
            budget -= tokens
            events.append(self._start(self._waiting.popleft()))
        return events

    def _start(self, sequence: Sequence) -> TokenEvent:
        ids = np.asarray(sequence.input_ids, dtype=np.int64)
        scores = self._model.prefill(len(self._running), ids)
        running = _Running(sequence, Chooser(sequence.sampling), length=len(ids))
        event = self._advance(running, log_softmax(scores)[0])
        if not event.finish_reason:
            self._running.append(running)
        return event

    def _advance(self, running: _Running, logprobs: Scores) -> TokenEvent:
        sequence = running.sequence
        token = running.chooser.choose(logprobs)
        running.last = token
        running.produced += 1
        top = likeliest(logprobs, sequence.top_logprobs)
        return TokenEvent(sequence.id, token, float(logprobs[token]), self._finish(running), top)

    def _finish(self, running: _Running) -> FinishReason:
        if running.last in running.sequence.stop_ids:
            return FinishReason.STOP
        # The last token is not in the slot yet; it needs a place before the next can follow.
        full = running.length + 1 >= self._max_tokens
        if full or running.produced >= running.sequence.max_tokens:
            return FinishReason.LENGTH
        return FinishReason.NONE

    def _release(self, index: int) -> None:
        last = self._running.pop()
        if index < len(self._running):
            self._model.move(len(self._running), index)
            self._running[index] = last
