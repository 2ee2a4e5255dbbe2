"""What a client asks and what the engine answers, in no protocol's words. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from autoglm_node.sampling import GREEDY, Sampling

Alternatives = tuple[tuple[int, float], ...]  # tokens and their natural log-probabilities, the likeliest first


class Message(NamedTuple):
    """One turn of a conversation."""

    role: str
    content: str


class Finish(IntEnum):
    """Why a reply ended; the values are those of the engine's `finish_reason` tensor."""

    NONE = 0
    STOP = 1
    LENGTH = 2


@dataclass(frozen=True, slots=True)
class Query:
    """A conversation to continue; `max_tokens` None means the model's default.

    With `prompt` it is that text, or those tokens, instead; there are no turns then. `top_logprobs` None: nobody wants
    to know the tokens' probabilities, otherwise also those of so many alternatives.
    """

    messages: tuple[Message, ...] = ()
    max_tokens: int | None = None
    sampling: Sampling = GREEDY
    stops: tuple[str, ...] = ()
    prompt: str | tuple[int, ...] | None = None
    top_logprobs: int | None = None
    replies: int = 1


@dataclass(frozen=True, slots=True)
class Generation:
    """A query as the engine sees it: tokens."""

    input_ids: Sequence[int]
    max_tokens: int
    sampling: Sampling = GREEDY
    top_logprobs: int = 0


class Piece(NamedTuple):
    """What one step of the engine added to a reply."""

    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Finish
    alternatives: tuple[Alternatives, ...] = ()
    """For each token, where they were asked for."""


class Score(NamedTuple):
    """A token of a reply in words: its text, its natural log-probability and those of the likeliest tokens."""

    text: str
    logprob: float
    likeliest: tuple[tuple[str, float], ...] = ()


class Usage(NamedTuple):
    """Token counts of one query."""

    prompt_tokens: int
    output_tokens: int


@dataclass(slots=True)
class Tally:
    """What is counted while a reply grows."""

    tokens: int = 0
    logprob: float = 0.0
    finish: Finish = field(default=Finish.NONE)

    def add(self, piece: Piece) -> None:
        """Count one piece."""
        self.tokens += len(piece.token_ids)
        self.logprob += math.fsum(piece.logprobs)
        self.finish = piece.finish

    @property
    def confidence(self) -> float:
        """The geometric mean of the tokens' probabilities, 0..1; 0 for an empty reply."""
        return math.exp(self.logprob / self.tokens) if self.tokens else 0.0
