"""How long an answer will be, told by the words of the question: a line that learns with every answer. Pure.

The logarithm of the tokens is a line through the logarithm of the prompt's length, by least squares with forgetting,
plus what the words, the pairs of words and the tenant add, each a number in a table of hashes, by normalised least mean
squares. So "write an essay" is learned from essays on other subjects, and a tenant of long answers from its answers.
"""

from dataclasses import dataclass, field
from math import exp, log1p, sqrt
from typing import Final, NamedTuple

from autoglm_gateway.features import words_of
from autoglm_gateway.score import Slots

_SIZE: Final = 1 << 13
_STEP: Final = 0.15
_FORGET: Final = 0.995
_START_CHARS: Final = 120  # what is wanted stands at the start or at the end of a question
_END_CHARS: Final = 80
_START_WORDS, _END_WORDS = 48, 32  # and in Chinese, where every character is one
_MOST: Final = 12.0  # of the logarithm: beyond any answer, and exp() stays in range


class Clue(NamedTuple):
    """What the model looks at of one query."""

    length: float
    """Logarithm of the prompt's tokens."""
    tenant: int
    """Place of its tenant in the table."""
    words: list[int]
    """Places of its words and pairs of words, with repeats."""


@dataclass(slots=True)
class _Line:
    """y = a + b * x by weighted least squares; old points fade."""

    weight: float = 0.0
    x: float = 0.0
    y: float = 0.0
    xx: float = 0.0
    xy: float = 0.0

    def saw(self, x: float, y: float) -> None:
        self.weight = self.weight * _FORGET + 1
        self.x = self.x * _FORGET + x
        self.y = self.y * _FORGET + y
        self.xx = self.xx * _FORGET + x * x
        self.xy = self.xy * _FORGET + x * y

    def at(self, x: float) -> float:
        if not self.weight:
            return 0.0
        spread = self.weight * self.xx - self.x * self.x
        slope = 0.0 if spread <= 1e-9 * self.weight else (self.weight * self.xy - self.x * self.y) / spread
        return self.y / self.weight + slope * (x - self.x / self.weight)


@dataclass(slots=True)
class Lexicon:
    """The learned line of one pool."""

    _slots: Slots = field(default_factory=lambda: Slots(_SIZE))
    _table: list[float] = field(default_factory=lambda: [0.0] * _SIZE)
    _line: _Line = field(default_factory=_Line)

    def clue(self, text: str, tenant: str, prompt_tokens: int) -> Clue:
        """Return what there is to learn from and to predict by; cost is bounded whatever the text."""
        shown = text if len(text) <= _START_CHARS + _END_CHARS else f"{text[:_START_CHARS]} {text[-_END_CHARS:]}"
        words = words_of(shown.lower())
        if len(words) > _START_WORDS + _END_WORDS:
            words = [*words[:_START_WORDS], *words[-_END_WORDS:]]
        return Clue(log1p(prompt_tokens), self._slots.first[f"\0{tenant}"], self._slots.of(words))

    def predict(self, clue: Clue) -> float:
        """Return the expected tokens of the answer, at least 0."""
        return exp(min(_MOST, max(0.0, self._at(clue)))) - 1

    def saw(self, clue: Clue, tokens: int) -> None:
        """Learn from an answer."""
        change = _STEP * (log1p(tokens) - self._at(clue))
        self._table[clue.tenant] += change
        table, part = self._table, change / sqrt(len(clue.words) or 1)
        for place in clue.words:
            table[place] += part
        self._line.saw(clue.length, log1p(tokens))

    def _at(self, clue: Clue) -> float:
        value = self._line.at(clue.length) + self._table[clue.tenant]
        if clue.words:
            value += sum(map(self._table.__getitem__, clue.words)) / sqrt(len(clue.words))
        return value
