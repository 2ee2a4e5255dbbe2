"""What holds the slots of a model: replies that grow at the bottom, a prompt in chunks at the top."""

from dataclasses import dataclass

from autoglm_node.engine.sampling import Chooser, StepScores, likeliest
from autoglm_node.engine.sequence import FinishReason, Sequence, TokenEvent


@dataclass(slots=True)
class Running:
    """A sequence in a slot; `length` tokens of it are in the slot, `last` is still to be fed."""

    sequence: Sequence
    chooser: Chooser
    bucket: int
    length: int
    last: int
    produced: int = 0

    def advance(self, scores: StepScores, row: int, room: int) -> TokenEvent:
        """Draw the next token from a row of scores in a slot of `room` tokens."""
        self.produced += 1
        if self.chooser.takes_the_likeliest and not self.sequence.top_logprobs:
            self.last, logprob = scores.likeliest(row)
            return TokenEvent(self.sequence.id, self.last, logprob, self._finish(room))
        logprobs = scores.logprobs(row)
        self.last = self.chooser.choose(logprobs)
        top = likeliest(logprobs, self.sequence.top_logprobs)
        return TokenEvent(self.sequence.id, self.last, float(logprobs[self.last]), self._finish(room), top)

    def _finish(self, room: int) -> FinishReason:
        if self.last in self.sequence.stop_ids:
            return FinishReason.STOP
        # The last token is not in the slot yet; it needs a place before the next can follow.
        if self.length + 1 >= room or self.produced >= self.sequence.max_tokens:
            return FinishReason.LENGTH
        return FinishReason.NONE


@dataclass(slots=True)
class Chunked:
    """A prompt of which `read` tokens are in the slot."""

    sequence: Sequence
    bucket: int
    read: int = 0

    @property
    def remaining(self) -> int:
        """Tokens still to be read."""
        return len(self.sequence.input_ids) - self.read


def prompted(sequence: Sequence, bucket: int) -> Running:
    """Return a sequence whose prompt is in its slot but for the last token, which is fed with the next step."""
    held = len(sequence.input_ids) - 1
    return Running(sequence, Chooser(sequence.sampling), bucket, held, sequence.input_ids[-1])
