"""What the classifier sees of a query: a few numbers that mean the same in every domain. Pure.

| feature        | what it is                                                                           |
|----------------|--------------------------------------------------------------------------------------|
| work           | log(1 + c / 100), where c is the question's length in characters plus bonuses        |
| numbers        | log(1 + numbers in the question), in figures and in words; 0 for multiple choice     |
| repetition     | share of the choices' words that stand in two or more choices                        |
| choice_chars   | log(1 + mean length of a choice)                                                     |
| choice_numbers | log(1 + numbers in the choices)                                                      |
| negations      | log(1 + words such as not, except, none)                                             |

| bonus, in characters        | for                                                                     |
|-----------------------------|-------------------------------------------------------------------------|
| 250                         | signs of work: a sum, a comparison, an explanation, a program (`signs`) |
| 125                         | a number; a second one makes it 250, the most there is for signs        |
| 1 for 20 characters         | the conversation around the question                                    |
| 15 each, at most 75         | messages beyond the fourth                                              |
| 15 each, at most 45         | question marks beyond the first                                         |
| 80, 160                     | 512, 2,048 requested tokens                                             |
| 80                          | tools are offered                                                       |

Signs of work count once, so in a set of questions that all have them (word problems, programs) the length decides.
A multiple-choice question gets no bonus for signs: there they say nothing (measured).
"""

import re
from dataclasses import dataclass, field
from itertools import chain
from math import log
from string import ascii_letters, digits
from typing import Final, NamedTuple

from autoglm_gateway.signs import NEGATIONS, NUMBER_WORDS, WORK, WORK_MARKS, WORK_PHRASES, WORK_ZH

# Only the end of a long text is searched for words: the question is there, and the cost stays bounded. On MMLU (1 of 77
# questions is longer) four times as much made no difference.
SEARCHED_CHARS: Final = 2000
_SIGN_CHARS: Final = 250.0
_NUMBER_CHARS: Final = 125.0
_AROUND_SHARE: Final = 1 / 20
_FREE_TURNS: Final = 4
_EACH_CHARS: Final = 15.0
_MAX_TURN_CHARS: Final = 75.0
_MAX_MARK_CHARS: Final = 45.0
_LONG_ANSWER, _LONG_ANSWER_CHARS = 512, 80.0
_VERY_LONG_ANSWER, _VERY_LONG_ANSWER_CHARS = 2048, 160.0
_TOOL_CHARS: Final = 80.0

# Of ASCII text; four times as fast as a regular expression.
_LETTERS_ONLY: Final = bytes(code if chr(code) in ascii_letters else 32 for code in range(256))
_DIGITS_ONLY: Final = bytes(code if chr(code) in digits else 32 for code in range(256))
FIRST_ZH, LAST_ZH = "\u3400", "\u9fff"
OTHER_RUN: Final = re.compile(r"[^\W\d_\u3400-\u9fff]+")
"""Letters that are no Chinese characters."""
_RUN: Final = re.compile(rf"[{FIRST_ZH}-{LAST_ZH}]+|{OTHER_RUN.pattern}")
# One search for all of them costs an eighth of one after the other.
_WORK_ZH: Final = re.compile("|".join(WORK_ZH))
# Half as fast again as \d: European, full-width, Arabic, Persian and Hindi ones.
_DIGITS: Final = r"0-9\uff10-\uff19\u0660-\u0669\u06f0-\u06f9\u0966-\u096f"
_NUMBER: Final = re.compile(rf"[{_DIGITS}][{_DIGITS}.,]*")
_SENTENCE_END: Final = re.compile(r"[.!?\u3002\uff01\uff1f\n]\s*")
_FIRST_CHOICE: Final = re.compile(r"\n *\(?a[.):] ")
_CHOICE: Final = re.compile(r"\n *\(?[a-j][.):] ([^\n]*)")
_MIN_CHOICES: Final = 2
_KNOWN: Final = WORK.union(WORK_PHRASES, NUMBER_WORDS, NEGATIONS)


@dataclass(slots=True, init=False)  # decision 21
class Asked:
    """What the classifier looks at: the last question, and the size of everything around it."""

    text: str
    chars: int
    turns: int = 1
    max_tokens: int = 0
    tools: bool = False
    prompt_tokens: int = field(default=0, compare=False)
    """Of the whole conversation, as `tokens.prompt_tokens` estimates."""
    system: str = field(default="", compare=False)
    """The first system prompt."""

    def __init__(
        self,
        text: str,
        chars: int,
        turns: int = 1,
        max_tokens: int = 0,
        *,
        tools: bool = False,
        prompt_tokens: int = 0,
        system: str = "",
    ) -> None:
        self.text = text
        self.chars = chars
        self.turns = turns
        self.max_tokens = max_tokens
        self.tools = tools
        self.prompt_tokens = prompt_tokens
        self.system = system


class Features(NamedTuple):
    """The numbers of the table above."""

    work: float
    numbers: float = 0.0
    repetition: float = 0.0
    choice_chars: float = 0.0
    choice_numbers: float = 0.0
    negations: float = 0.0


class Seen(NamedTuple):
    """A query as the scorer gets it."""

    text: str
    """What is searched of it, in lower case."""
    latin: list[str]
    """Its words of ASCII letters, in order."""
    features: Features

    @property
    def words(self) -> list[str]:
        """All its words, in order; a Chinese character is a word."""
        return self.latin if self.text.isascii() else words_of(self.text)


def see(asked: Asked) -> Seen:
    """Return what there is to score; cost is linear in the text, up to a bound."""
    text = asked.text[-SEARCHED_CHARS:].lower()
    latin = _latin_words(text)
    known = _KNOWN.intersection(latin)
    negations = log(1 + len(known & NEGATIONS)) if known else 0.0
    chars = len(asked.text) + _around_chars(asked, text)
    first = _FIRST_CHOICE.search(text) if "\n" in text else None
    choices = _CHOICE.findall(text, first.start()) if first is not None else []
    if len(choices) >= _MIN_CHOICES:
        return Seen(text, latin, Features(log(1 + chars / 100), 0.0, *_of_choices(choices), negations))
    numbers = _numbers_in(question_of(text))
    if known:
        numbers += len(known & NUMBER_WORDS)
    chars += _SIGN_CHARS if _has_signs(text, known) else min(_SIGN_CHARS, _NUMBER_CHARS * numbers)
    return Seen(text, latin, Features(log(1 + chars / 100), log(1 + numbers), 0.0, 0.0, 0.0, negations))


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, in order; a Chinese character is a word of its own."""
    if text.isascii():
        return _latin_words(text)
    words: list[str] = []
    for run in _RUN.findall(text):
        if FIRST_ZH <= run[0] <= LAST_ZH:
            words += run
        else:
            words.append(run)
    return words


def _latin_words(text: str) -> list[str]:
    return text.encode("ascii", "replace").translate(_LETTERS_ONLY).decode().split()


def _numbers_in(text: str) -> int:
    if text.isascii():
        return len(text.encode().translate(_DIGITS_ONLY, b".,").split())
    return len(_NUMBER.findall(text))


def _around_chars(asked: Asked, text: str) -> float:
    marks = text.count("?") + (0 if text.isascii() else text.count("\uff1f"))
    chars = max(0, asked.chars - len(asked.text)) * _AROUND_SHARE
    if marks > 1:
        chars += min(_MAX_MARK_CHARS, _EACH_CHARS * (marks - 1))
    if asked.turns > _FREE_TURNS:
        chars += min(_MAX_TURN_CHARS, _EACH_CHARS * (asked.turns - _FREE_TURNS))
    if asked.max_tokens >= _VERY_LONG_ANSWER:
        chars += _VERY_LONG_ANSWER_CHARS
    elif asked.max_tokens >= _LONG_ANSWER:
        chars += _LONG_ANSWER_CHARS
    return chars + _TOOL_CHARS if asked.tools else chars


def _has_signs(text: str, known: frozenset[str]) -> bool:
    for word in known:  # mostly none
        if word in WORK or any(phrase in text for phrase in WORK_PHRASES.get(word, ())):
            return True
    for mark in WORK_MARKS:
        if mark in text:
            return True
    return not text.isascii() and _WORK_ZH.search(text) is not None


def _of_choices(choices: list[str]) -> tuple[float, float, float]:
    """Return repetition, choice_chars and choice_numbers."""
    every = list(chain.from_iterable(frozenset(words_of(choice)) for choice in choices))
    counted: dict[str, int] = {}
    for word in every:
        counted[word] = counted.get(word, 0) + 1
    repeated = sum(count for count in counted.values() if count > 1)
    numbers = sum(map(_numbers_in, choices))
    chars = sum(map(len, choices)) / len(choices)
    return (repeated / len(every) if every else 0.0), log(1 + chars), log(1 + numbers)


def question_of(text: str) -> str:
    """Return the part of a text after its last enumeration (items that end in ';').

    >>> question_of("We sell: red mug 3 euros; blue mug 4 euros. How many mugs are left?")
    'How many mugs are left?'
    """
    last_item = max(text.rfind(";"), text.rfind("\uff1b"))
    if last_item < 0:
        return text
    after = text[last_item + 1 :]
    end = _SENTENCE_END.search(after)
    return after[end.end() :] if end is not None and end.end() < len(after) else after
