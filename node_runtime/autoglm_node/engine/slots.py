"""What holds the slots of a model: replies that grow at the bottom, a prompt in chunks at the top."""

from dataclasses import dataclass

from autoglm_node.engine.sampling import Chooser, Scores, likeliest
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

    def advance(self, logprobs: Scores, room: int) -> TokenEvent:
        """Draw the next token from log-probabilities [vocabulary] in a slot of `room` tokens."""
        token = self.chooser.choose(logprobs)
        self.last = token
        self.produced += 1
        top = likeliest(logprobs, self.sequence.top_logprobs)
        return TokenEvent(self.sequence.id, token, float(logprobs[token]), self._finish(room), top)

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
