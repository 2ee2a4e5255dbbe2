"""Training rows: as many queries as fit, side by side behind one common start.

Every query (a branch) sees the start of the prompt and itself only, at the positions that it would
have alone, so a row is several independent examples. The model that shows its working also gets
arithmetic drills.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from random import Random
from typing import TYPE_CHECKING, Final

from autoglm_shop.chat import ASSISTANT, END, PREFIX, USER
from autoglm_shop.task import NOTES, PERCENTAGES, QUANTITIES, Kind, Split, generate

if TYPE_CHECKING:
    from tokenizers import Tokenizer

IGNORED: Final = -100
_FILLER: Final = -1


SIMPLE_SHARE: Final = 0.3
"""Share of look-ups among training queries; complex ones need more practice."""

DRILL_SHARE: Final = 0.25
"""Share of arithmetic drills among the branches of a model that shows its working."""

MAX_AMOUNT: Final = 400


@dataclass(frozen=True, slots=True)
class Row:
    """Equally long lists: token, target of the next token, position, and tree branch."""

    tokens: list[int] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)

    def branch(self, prompt: list[int], reply: list[int], number: int, start: int) -> None:
        """Append a branch whose reply is learnt; `start` is its first position."""
        tokens = prompt + reply
        self.tokens.extend(tokens)
        self.targets.extend([IGNORED] * (len(prompt) - 1) + reply + [IGNORED])
        self.positions.extend(range(start, start + len(tokens)))
        self.branches.extend([number] * len(tokens))

    def pad(self, length: int) -> None:
        """Fill up to `length` tokens that nothing attends to and nothing learns."""
        missing = length - len(self.tokens)
        self.tokens.extend([0] * missing)
        self.targets.extend([IGNORED] * missing)
        self.positions.extend([0] * missing)
        self.branches.extend([_FILLER] * missing)


class Working(StrEnum):
    """How a reply shows where its answer comes from."""

    NONE = "none"
    SHORT = "short"
    BY_PLACES = "by places"


def training_row(seed: str, tokenizer: Tokenizer, length: int, working: Working) -> Row:
    """Return the row of this seed, exactly `length` tokens long."""
    rng, row = Random(seed), Row()
    stem = _encode(tokenizer, PREFIX + USER)
    row.branch(stem, [], 0, 0)
    for number in count(1):
        start = len(stem)
        if working is not Working.NONE and rng.random() < DRILL_SHARE:
            prompt, reply = (_encode(tokenizer, text) for text in _drill(rng, working))
            start += rng.randint(10, 30)
        else:
            prompt, reply = _query(rng, tokenizer, working)
        if len(row.tokens) + len(prompt) + len(reply) > length:
            break
        row.branch(prompt, reply, number, start)
    row.pad(length)
    return row


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def _query(rng: Random, tokenizer: Tokenizer, working: Working) -> tuple[list[int], list[int]]:
    kind = Kind.SIMPLE if rng.random() < SIMPLE_SHARE else Kind.COMPLEX
    query = generate(rng.getrandbits(64), Split.TRAIN, kind)
    replies = {
        Working.NONE: query.answer,
        Working.SHORT: query.worked_in_short,
        Working.BY_PLACES: query.worked,
    }
    return _encode(tokenizer, query.prompt + ASSISTANT), _encode(tokenizer, replies[working] + END)


def _drill(rng: Random, working: Working) -> tuple[str, str]:
    """Return the beginning of a step of a working, and its result."""
    a, b = rng.randint(6, MAX_AMOUNT), rng.randint(6, MAX_AMOUNT)
    if working is Working.BY_PLACES:
        b = int(str(b)[0]) * rng.choice((1, 10, 100))
    match rng.randrange(3):
        case 0:
            step, result = f"{a} + {b} =", a + b
        case 1:
            whole = rng.choice((*NOTES, a + b))
            step, result = f"{whole} - {min(b, whole)} =", whole - min(b, whole)
        case _:
            percent, factor = rng.choice(PERCENTAGES), rng.choice(QUANTITIES)
            whole = 100 // percent * factor * rng.randint(1, 12)
            step, result = f"{percent} percent of {whole} =", whole * percent // 100
    return ASSISTANT + step, f" {result};"
