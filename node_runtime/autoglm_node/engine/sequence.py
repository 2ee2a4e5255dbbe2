"""What the decode loop is asked for and what it answers."""

from collections.abc import Sequence as Items
from dataclasses import dataclass, field
from enum import IntEnum

from autoglm_node.sampling import GREEDY, Sampling


class FinishReason(IntEnum):
    """Why a sequence ended; the values are those of the `finish_reason` tensor."""

    NONE = 0
    STOP = 1
    LENGTH = 2


class TooLongError(ValueError):
    """The prompt leaves no room for a reply within the sequence limit."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """One query of the engine: prompt tokens and how to continue them.

    The same `sampling` gives the same reply whatever else is running. A reply ends with a token of `stop_ids` or after
    `max_tokens` tokens; each of its tokens comes with the `top_logprobs` likeliest ones.
    """

    id: int
    input_ids: Items[int]
    max_tokens: int
    sampling: Sampling = GREEDY
    stop_ids: frozenset[int] = field(default_factory=frozenset)
    top_logprobs: int = 0


@dataclass(frozen=True, slots=True)
class TokenEvent:
    """One produced token; with `FinishReason.STOP` it is the stop token and no part of the reply."""

    id: int
    token_id: int
    logprob: float
    finish_reason: FinishReason = FinishReason.NONE
    likeliest: tuple[tuple[int, float], ...] = ()
