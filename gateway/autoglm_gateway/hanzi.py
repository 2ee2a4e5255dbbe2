"""What the characters of a Chinese text add to its score, all at once by numpy. Pure.

`score.Slots` says the same word by word (a test holds both against each other), at 45 us for 300 characters instead of
8. Only a scorer whose weights have a table imports this: numpy takes 16 MB.
"""

from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from autoglm_gateway.features import FIRST_ZH, LAST_ZH, OTHER_RUN, SEARCHED_CHARS
from autoglm_gateway.score import FIRST_SHIFT, SECOND_SHIFT, Slots, place_of

_CODES: Final = 0x34000  # beyond it no letter is assigned
_HANZI, _ASCII, _OTHER = 1, 2, 3
_FIRST, _LAST = ord(FIRST_ZH), ord(LAST_ZH)

Places = NDArray[np.intp]


@cache
def _kinds() -> NDArray[np.uint8]:
    """Return for every code point which kind of letter it is; 0, as for the last one, for none."""
    kinds = np.zeros(_CODES, dtype=np.uint8)
    for run in OTHER_RUN.finditer("".join(map(chr, range(_CODES - 1)))):
        kinds[run.start() : run.end()] = _ASCII if run[0].isascii() else _OTHER
    kinds[_FIRST : _LAST + 1] = _HANZI
    return kinds


class Hanzi:
    """The table of one set of weights, by character."""

    __slots__ = ("_first", "_kinds", "_ones", "_second", "_slots", "_table")

    def __init__(self, table: Sequence[int], slots: Slots) -> None:
        mask = len(table) - 1
        self._kinds = _kinds()
        self._table = np.array(table, dtype=np.float64)
        self._slots = slots
        self._first, self._second = _places(FIRST_SHIFT, mask), _places(SECOND_SHIFT, mask)
        self._ones = np.ones(SEARCHED_CHARS)

    def sum_of(self, text: str, latin: Sequence[str]) -> tuple[float, int] | None:
        """Return the table's sum over words and pairs of neighbours, and how many these are; None without Chinese.

        `latin` are the runs of ASCII letters in the text, in order.
        """
        if text.isascii():
            return None
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.intp)
        kinds = self._kinds.take(codes, mode="clip")
        told = kinds.tobytes()
        if _HANZI not in told:
            return None
        if _OTHER in told:
            latin = OTHER_RUN.findall(text)
        first, second = self._mixed(text, latin, codes, kinds) if latin else self._pure(codes, kinds)
        words, pairs = self._table.take(first), self._table.take(first[:-1] ^ second[1:])
        # A product is twice as fast as a sum, and of whole numbers as exact.
        ones = self._ones[: len(words)]
        return float(words.dot(ones) + pairs.dot(ones[: len(pairs)])), len(words) + len(pairs)

    def _pure(self, codes: Places, kinds: NDArray[np.uint8]) -> tuple[Places, Places]:
        """Return both parts of the hash of every character, in order; there are no other letters."""
        hanzi = codes[kinds == _HANZI]
        return self._first.take(hanzi), self._second.take(hanzi)

    def _mixed(
        self, text: str, others: Sequence[str], codes: Places, kinds: NDArray[np.uint8]
    ) -> tuple[Places, Places]:
        """Return the same where other words stand between the characters: each has its place where it begins."""
        first, second = self._first.take(codes, mode="clip"), self._second.take(codes, mode="clip")
        is_word = kinds == _HANZI
        end = 0
        for word in others:
            start = text.index(word, end)  # a word is all letters up to the next other sign, so it is found whole
            first[start], second[start] = self._slots.first[word], self._slots.second[word]
            is_word[start] = True
            end = start + len(word)
        return first[is_word], second[is_word]


def _places(shift: int, mask: int) -> Places:
    """Return a part of the hash of every character, by code point."""
    places = np.zeros(_LAST + 1, dtype=np.intp)
    places[_FIRST:] = [place_of(chr(code), shift, mask) for code in range(_FIRST, _LAST + 1)]
    return places
