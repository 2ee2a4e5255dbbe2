"""The score of a query: a line through its features, plus weights of its words and word pairs when trained. Pure.

A word's place in the table is a hash, so that weights carry no words. What a query costs: benchmarks/routing.
"""

from collections.abc import Sequence
from math import exp, sqrt
from operator import xor
from typing import Final
from zlib import crc32

from autoglm_gateway.features import Asked, see
from autoglm_gateway.weights import Weights

MIDDLE: Final = 50.0
_SCALE: Final = 100.0
_MAX_LOGIT: Final = 60.0  # beyond it the score is 0 or 100 anyway, and exp() stays in range
_REMEMBERED_WORDS: Final = 65536


class _Hashes(dict[str, int]):
    """A part of the hash of every word seen lately, so that a word is hashed once; bounded by being emptied."""

    def __init__(self, shift: int, mask: int) -> None:
        super().__init__()
        self._shift = shift
        self._mask = mask

    def __missing__(self, word: str) -> int:
        if len(self) >= _REMEMBERED_WORDS:
            self.clear()
        value = self[word] = crc32(word.encode("utf-8", "replace")) >> self._shift & self._mask
        return value


class Slots:
    """Places of words, and of pairs of neighbours, in a table of `size` numbers (a power of two up to 2**16)."""

    __slots__ = ("_first", "_second")

    def __init__(self, size: int) -> None:
        self._first = _Hashes(0, size - 1)
        self._second = _Hashes(16, size - 1)

    def of(self, words: Sequence[str]) -> list[int]:
        """Return one slot per word and one per pair of neighbours, with repeats."""
        slots = list(map(self._first.__getitem__, words))
        slots += list(map(xor, slots, map(self._second.__getitem__, words[1:])))
        return slots


class Scorer:
    """Scores queries with one set of weights."""

    __slots__ = ("_slots", "_table", "_used", "weights")

    def __init__(self, weights: Weights) -> None:
        self.weights = weights
        self._used = [(place, value) for place, value in enumerate(weights.vector()) if value]
        self._table = [value * weights.scale for value in weights.table]
        self._slots = Slots(max(1, len(self._table)))

    def score(self, asked: Asked) -> float:
        """Return the gain to expect of the large model, 0 to 100; 50 is the boundary the weights were made with."""
        words, features = see(asked, every_word=bool(self._table))
        logit = self.weights.bias
        for place, value in self._used:
            logit += value * features[place]
        if self._table and words:
            slots = self._slots.of(words)
            logit += sum(map(self._table.__getitem__, slots)) / sqrt(len(slots))
        return _SCALE / (1.0 + exp(-max(-_MAX_LOGIT, min(_MAX_LOGIT, logit))))
