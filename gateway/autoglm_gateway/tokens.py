"""How much work a query is, in tokens: estimated on arrival, corrected by what the pool answers. Pure.

The gateway has no tokenizer: a tokenizer per model would cost more than the estimate is worth. The same estimate is
used for what is offered, what waits and what was served, so an error in it cancels out of a pool's size.
"""

import re
from typing import Final

_CHARACTERS_PER_TOKEN: Final = 4  # of English text
_FIRST_GUESS: Final = 64.0  # output tokens, before anything was answered
_MEMORY_ANSWERS: Final = 50
_COMPLETION_TOKENS: Final = re.compile(rb'"completion_tokens"\s*:\s*(\d{1,9})')
_EVENT: Final = b"data:"
_EVENTS_WITHOUT_TEXT: Final = 3  # the role, the finish reason and [DONE]
_TAIL_BYTES: Final = 2048  # `usage` stands at an answer's end


def prompt_tokens(text: str) -> int:
    """Return about how many tokens a text has: 4 ASCII characters a token, or 1.5 Chinese ones.

    >>> prompt_tokens("How much is the lamp?"), prompt_tokens("台灯多少钱")
    (6, 4)
    """
    if text.isascii():
        return len(text) // _CHARACTERS_PER_TOKEN + 1
    # A Chinese character has two bytes more than an ASCII one; a Cyrillic or accented one counts as half of it.
    wide = (len(text.encode("utf-8", "replace")) - len(text)) // 2
    return (len(text) - wide) // _CHARACTERS_PER_TOKEN + wide * 2 // 3 + 1


class OutputMean:
    """How long a pool's answers are: a running mean that remembers about fifty of them."""

    __slots__ = ("_count", "_mean")

    def __init__(self) -> None:
        self._mean = _FIRST_GUESS
        self._count = 0

    def saw(self, tokens: int) -> None:
        """Take in the length of an answer; 0 for one that is no text."""
        self._count = min(self._count + 1, _MEMORY_ANSWERS)
        self._mean += (tokens - self._mean) / self._count

    def predicted(self, max_tokens: int) -> int:
        """Return the tokens that the next answer is expected to have; `max_tokens` 0 means no limit."""
        expected = round(self._mean)
        return min(expected, max_tokens) if max_tokens > 0 else expected


def answered_tokens(body: bytes) -> int:
    """Return the output tokens that a whole answer reports; 0 when it reports none."""
    found = _COMPLETION_TOKENS.search(body, max(0, len(body) - _TAIL_BYTES))
    return int(found[1]) if found else 0


def events_in(chunk: bytes) -> int:
    """Return how many server-sent events begin in a piece of a stream."""
    return chunk.count(_EVENT)


def streamed_tokens(events: int) -> int:
    """Return the output tokens of a stream of so many events; a replica sends one per token."""
    return max(0, events - _EVENTS_WITHOUT_TEXT)
