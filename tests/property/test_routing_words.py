"""What trained weights make of a text is the same, whether it is summed up word by word or all at once."""

import re
from math import exp, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoglm_gateway.features import SEARCHED_CHARS, Asked, see, words_of
from autoglm_gateway.hanzi import Hanzi
from autoglm_gateway.score import Scorer, Slots
from autoglm_gateway.weights import Weights

SIZE = 1 << 12
TABLE = [(7 * place * place + place) % 255 - 127 for place in range(SIZE)]
WEIGHTS = Weights(bias=-0.5, features={"work": 0.1}, scale=0.003, table=TABLE)
SCORER = Scorer(WEIGHTS)
SLOTS = Slots(SIZE)
HANZI = Hanzi(TABLE, SLOTS)

# Chinese, its outermost characters, those beside them, other scripts, digits, marks, emoji, lone surrogates.
PIECES = st.one_of(
    st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x4E40), max_size=12),
    st.sampled_from(
        ["\u3400", "\u9fff", "\u33ff", "\ua000", "\u3002", "\uff0c", " ", "_", "7", "\uff15", "iPhone", "na\u00efve"]
    ),
    st.sampled_from(
        ["\u0130", "\u3072\u3089", "\u0434\u0430", "\U00020bb7", "\U0001f600", "\ud800", "\U0010ffff", "a"]
    ),
    st.text(max_size=5),
)
TEXTS = st.lists(PIECES, max_size=12).map("".join)


def word_by_word(words: list[str]) -> tuple[int, int]:
    slots = SLOTS.of(words)
    return sum(TABLE[slot] for slot in slots), len(slots)


@given(TEXTS)
def test_characters_at_once_are_as_word_by_word(text: str) -> None:
    at_once = HANZI.sum_of(text, re.findall("[a-zA-Z]+", text))
    assert (at_once is None) == (re.search("[\u3400-\u9fff]", text) is None)
    assert at_once is None or at_once == word_by_word(words_of(text))


@given(TEXTS)
def test_a_score_is_the_line_through_features_and_words(text: str) -> None:
    asked = Asked(text, len(text))
    seen = see(asked)
    total, count = word_by_word(words_of(seen.text))
    assert seen.words == words_of(seen.text)
    logit = -0.5 + 0.1 * seen.features.work + (0.003 * total / sqrt(count) if count else 0.0)
    assert SCORER.score(asked) == pytest.approx(100 / (1 + exp(-logit)), abs=1e-9)


@pytest.mark.parametrize("character", ["\u4f60", "\u0130\u4f60", "a\u4f60"])
def test_a_long_text_is_scored_as_its_end(character: str) -> None:
    """In lower case U+0130 is two characters, so the searched text may be longer than what is cut off."""
    long = character * SEARCHED_CHARS
    seen = see(Asked(long, len(long)))
    assert HANZI.sum_of(seen.text, seen.latin) == word_by_word(seen.words)
