"""Which class a query belongs to: a transparent linear score over cheap features of its text. Pure.

Every feature adds its weight; a score of `THRESHOLD` or more is Complex.

| feature    | what it is                                                     | adds                     |
|------------|----------------------------------------------------------------|--------------------------|
| arithmetic | words of sums, comparisons, shares (`ARITHMETIC` and others)   | 1.0, then 0.25 each, <=2 |
| reasoning  | words that ask for an explanation or a plan (`REASONING` ...)  | 1.0                      |
| code       | a code fence                                                   | 1.0                      |
| numbers    | numbers in the question itself, not in what it lists           | 0.5 each, <= 1.5         |
| questions  | question marks beyond the first                                | 0.3 each, <= 0.9         |
| length     | characters of the whole conversation                           | 0.25 per 1,000, <= 1.0   |
| turns      | messages beyond the fourth                                     | 0.1 each, <= 0.5         |
| answer     | requested tokens: 512 or more, 2,048 or more                   | 0.3, 0.6                 |

The weights are set by hand for questions about listed facts (a shop assistant), in English and Chinese; they
claim nothing about other tasks. A client that knows better names the class in a header or pins a pool.
"""

import re
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final

from autoglm_api.spec import QueryClass

THRESHOLD: Final = 1.0
# Only the end of a long text is searched for words: the question is there, and the cost stays bounded.
_SEARCHED_CHARS: Final = 8000

# Single words are looked up in the set of a text's words; everything with a space in it (and Chinese, which has
# no spaces) is searched for as it is. One big regular expression did the same in eight times the CPU time.
ARITHMETIC: Final = frozenset(
    {
        *("total", "sum", "plus", "minus", "times", "altogether", "together", "each", "discount", "percent", "off"),
        *("voucher", "coupon", "change", "difference", "cheaper", "cheapest", "lowest", "highest", "average", "save"),
        *("budget", "ratio", "compared"),
    }
)
ARITHMETIC_PHRASES: Final = (
    *("add up", "in all", "it all", "most expensive", "more than", "less than", "costs more", "costs less", "%"),
    *("how much more", "how much less", "get back", "left then", "left after", "left over"),
)
ARITHMETIC_ZH: Final = (
    *(
        "总共",
        "一共",
        "合计",
        "总价",
        "总额",
        "加起来",
        "折扣",
        "打折",
        "优惠",
        "减去",
        "相差",
        "差价",
        "差多少",
        "找零",
    ),
    *("找回", "百分之", "平均", "最便宜", "最贵", "最低", "最高", "便宜多少", "贵多少", "每人", "比例"),
    *("一折", "二折", "三折", "四折", "五折", "六折", "七折", "八折", "九折"),
)
REASONING: Final = frozenset(
    {
        *("why", "explain", "prove", "derive", "analyse", "analyze", "reason", "reasoning", "compare", "tradeoff"),
        *("design", "plan", "refactor", "debug", "summarise", "summarize", "essay", "translate"),
    }
)
REASONING_PHRASES: Final = ("step by step", "trade-off")
REASONING_ZH: Final = (*("为什么", "解释", "证明", "推导", "分析", "一步一步", "比较", "设计", "计划", "总结", "翻译"),)

_SENTENCE_END: Final = re.compile(r"[.!?\u3002\uff01\uff1f\n]\s*")
_points: Final = itemgetter(1)
_WORD: Final = re.compile(r"[a-z]+")
_NUMBER: Final = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the classifier looks at: the last question, and the size of everything around it."""

    text: str
    chars: int
    turns: int = 1
    max_tokens: int = 0
    prompt_tokens: int = field(default=0, compare=False)
    """Of the whole conversation, as `tokens.prompt_tokens` estimates."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A class, the score it comes from, and the reason in one short ASCII line."""

    query_class: QueryClass
    score: float
    reason: str


def classify(asked: Asked) -> Verdict:
    """Return the class of a query, by the table above."""
    parts = [part for part in _parts(asked) if part[1] > 0]
    parts.sort(key=_points, reverse=True)
    score = sum(map(_points, parts))
    query_class = QueryClass.COMPLEX if score >= THRESHOLD else QueryClass.SIMPLE
    told = " ".join([f"{name}=+{points:.2f}" for name, points in parts]) or "no complex feature"
    return Verdict(query_class, score, f"score {score:.2f} of {THRESHOLD:.2f}: {told}")


def _parts(asked: Asked) -> tuple[tuple[str, float], ...]:
    text = asked.text[-_SEARCHED_CHARS:].lower()
    words = frozenset(_WORD.findall(text))
    found = len(words & ARITHMETIC) + _count(text, ARITHMETIC_PHRASES, ARITHMETIC_ZH)
    reasons = not words.isdisjoint(REASONING) or _count(text, REASONING_PHRASES, REASONING_ZH)
    marks = text.count("?") + text.count("\uff1f")
    return (
        ("arithmetic", min(2.0, 0.75 + 0.25 * found) if found else 0.0),
        ("reasoning", 1.0 if reasons else 0.0),
        ("code", 1.0 if "```" in text else 0.0),
        ("numbers", min(1.5, 0.5 * len(_NUMBER.findall(question_of(text))))),
        ("questions", min(0.9, 0.3 * (marks - 1))),
        ("length", min(1.0, asked.chars / 4000)),
        ("turns", min(0.5, 0.1 * (asked.turns - 4))),
        ("answer", 0.6 if asked.max_tokens >= 2048 else 0.3 if asked.max_tokens >= 512 else 0.0),  # noqa: PLR2004
    )


def _count(text: str, phrases: tuple[str, ...], chinese: tuple[str, ...]) -> int:
    found = len([phrase for phrase in phrases if phrase in text])
    return found if text.isascii() else found + len([phrase for phrase in chinese if phrase in text])


def question_of(text: str) -> str:
    """Return the part of a text after its last enumeration (items that end in ';' or a line break).

    >>> question_of("We sell: red mug 3 euros; blue mug 4 euros. How many mugs are left?")
    'How many mugs are left?'
    """
    last_item = max(text.rfind(";"), text.rfind("\uff1b"))
    if last_item < 0:
        return text
    after = text[last_item + 1 :]
    end = _SENTENCE_END.search(after)
    return after[end.end() :] if end is not None and end.end() < len(after) else after
