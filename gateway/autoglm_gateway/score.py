"""The score of a query: a line through its features, plus weights of its words and word pairs when trained. Pure.

A word's place in the table is a hash, so that weights carry no words. What a query costs: benchmarks/routing.
"""

from collections.abc import Sequence
from math import exp, sqrt
from operator import mul, xor
from typing import TYPE_CHECKING, Final
from zlib import crc32

from autoglm_gateway.features import Asked, see, words_of
from autoglm_gateway.weights import Weights

if TYPE_CHECKING:
    from autoglm_gateway.hanzi import Hanzi

MIDDLE: Final = 50.0
_SCALE: Final = 100.0
_MAX_LOGIT: Final = 60.0  # beyond it the score is 0 or 100 anyway, and exp() stays in range
_REMEMBERED_WORDS: Final = 65536
FIRST_SHIFT, SECOND_SHIFT = 0, 16


class _Hashes(dict[str, int]):
    """A part of the hash of every word seen lately, so that a word is hashed once; bounded by being emptied."""

    def __init__(self, shift: int, mask: int) -> None:
        super().__init__()
        self._shift = shift
        self._mask = mask

    def __missing__(self, word: str) -> int:
        if len(self) >= _REMEMBERED_WORDS:
            self.clear()
        value = self[word] = place_of(word, self._shift, self._mask)
        return value


def place_of(word: str, shift: int, mask: int) -> int:
    """Return a part of a word's hash."""
    return crc32(word.encode("utf-8", "replace")) >> shift & mask


class Slots:
    """Places of words, and of pairs of neighbours, in a table of `size` numbers (a power of two up to 2**16)."""

    __slots__ = ("first", "second")

    def __init__(self, size: int) -> None:
        self.first = _Hashes(FIRST_SHIFT, size - 1)
        self.second = _Hashes(SECOND_SHIFT, size - 1)

    def of(self, words: Sequence[str]) -> list[int]:
        """Return one slot per word and one per pair of neighbours, with repeats."""
        slots = list(map(self.first.__getitem__, words))
        slots += list(map(xor, slots, map(self.second.__getitem__, words[1:])))
        return slots


class Scorer:
    """Scores queries with one set of weights."""

    __slots__ = ("_hanzi", "_line", "_slots", "_table", "weights")

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._line = weights.vector()
        self._table = weights.table
        self._slots = Slots(max(1, len(self._table)))
        self._hanzi = _hanzi_of(self._table, self._slots) if any(self._table) else None

    def score(self, asked: Asked) -> float:
        """Return the gain to expect of the large model, 0 to 100; 50 is the boundary the weights were made with."""
        text, latin, features = see(asked)
        logit = self.weights.bias + sum(map(mul, self._line, features))
        if self._hanzi is not None:
            total, count = self._hanzi.sum_of(text, latin) or self._sum_of(latin if text.isascii() else words_of(text))
            logit += self.weights.scale * total / sqrt(count or 1)
        return _SCALE / (1.0 + exp(-max(-_MAX_LOGIT, min(_MAX_LOGIT, logit))))

    def _sum_of(self, words: Sequence[str]) -> tuple[float, int]:
        """Return the table's sum over words and pairs of neighbours, and how many these are."""
        slots = self._slots.of(words)
        return sum(map(self._table.__getitem__, slots)), len(slots)


def _hanzi_of(table: Sequence[int], slots: Slots) -> "Hanzi":
    from autoglm_gateway.hanzi import Hanzi  # noqa: PLC0415 - numpy takes 16 MB, and most weights have no table

    return Hanzi(table, slots)
