"""Training rows: one catalogue and as many questions about it as fit, as a token tree.

Every question sees the catalogue and itself only, at the positions it would have alone, so a row
gives several independent examples for the price of one catalogue. What is left of a row holds
arithmetic drills for the model that shows its working.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Final

from autoglm_shop.catalogue import listing, shelf_of
from autoglm_shop.chat import ASSISTANT, END, PREFIX, USER
from autoglm_shop.task import PERCENTAGES, QUANTITIES, Kind, Question, Split, question_for

if TYPE_CHECKING:
    from tokenizers import Tokenizer

IGNORED: Final = -100
_FILLER: Final = -1


@dataclass(frozen=True, slots=True)
class Stage:
    """What training rows hold for a time: catalogue sizes to draw from, and the share of look-ups."""

    sizes: tuple[int, ...]
    simple_share: float


LOOKING_UP: Final = Stage(sizes=(1, 2), simple_share=0.7)
"""The start: with little to confuse, a model finds out how to look things up much earlier."""

MORE_CHOICE: Final = Stage(sizes=(2, 3, 4), simple_share=0.5)
WHOLE_TASK: Final = Stage(sizes=(2, 3, 4, 5), simple_share=0.35)


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


def training_row(seed: str, tokenizer: Tokenizer, length: int, stage: Stage, *, worked: bool) -> Row:
    """Return the row of this seed, exactly `length` tokens long."""
    rng = Random(seed)
    shelf = shelf_of(rng, rng.choice(stage.sizes))
    row, number = Row(), 1
    stem = _encode(tokenizer, PREFIX + USER + listing(rng, shelf))
    row.branch(stem, [], 0, 0)
    while True:
        simple = len(shelf) < 2 or rng.random() < stage.simple_share
        kind = Kind.SIMPLE if simple else Kind.COMPLEX
        prompt, reply = _question(tokenizer, question_for(rng, shelf, Split.TRAIN, kind), worked=worked)
        if len(row.tokens) + len(prompt) + len(reply) > length:
            break
        row.branch(prompt, reply, number, len(stem))
        number += 1
    if worked:
        _fill_with_drills(rng, tokenizer, row, number, (len(stem), length))
    row.pad(length)
    return row


def _encode(tokenizer: Tokenizer, text: str) -> list[int]:
    return list(tokenizer.encode(text, add_special_tokens=False).ids)


def _question(tokenizer: Tokenizer, question: Question, *, worked: bool) -> tuple[list[int], list[int]]:
    reply = question.worked if worked else question.answer
    prompt = _encode(tokenizer, f" {question.text}{ASSISTANT}")
    return prompt, _encode(tokenizer, reply + END)


def _fill_with_drills(
    rng: Random, tokenizer: Tokenizer, row: Row, number: int, start_and_length: tuple[int, int]
) -> None:
    start, length = start_and_length
    while True:
        sum_, result = _drill(rng)
        prompt, reply = _encode(tokenizer, ASSISTANT + sum_), _encode(tokenizer, result)
        if len(row.tokens) + len(prompt) + len(reply) > length:
            return
        row.branch(prompt, reply, number, start + rng.randint(10, 30))
        number += 1


def _drill(rng: Random) -> tuple[str, str]:
    """Return one step of a working and its result, as they occur in the task."""
    quantity, price = rng.choice(QUANTITIES), rng.randint(3, 60)
    match rng.randrange(4):
        case 0:
            return f"{quantity} x {price} =", f" {quantity * price};"
        case 1:
            other = rng.choice(QUANTITIES) * rng.randint(3, 60)
            return f"{quantity * price} + {other} =", f" {quantity * price + other};"
        case 2:
            whole = rng.choice((100, 200, 300, quantity * price))
            part = rng.randint(1, min(240, whole))
            return f"{whole} - {part} =", f" {whole - part};"
        case _:
            percent = rng.choice(PERCENTAGES)
            whole = rng.randint(1, 240 * percent // 100) * 100 // percent
            return f"{percent} percent of {whole} =", f" {whole * percent // 100};"
