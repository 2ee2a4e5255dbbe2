"""The words that tell work from a look-up, in English and Chinese. Pure: a list, no code.

Single words are looked up in a text's words; everything with a space in it (and Chinese, which has no spaces) is
searched for as it is. They are set by hand: words do not transfer between domains, so none is learned here.
"""

from typing import Final

_ARITHMETIC: Final = frozenset(
    {
        *("total", "sum", "plus", "minus", "times", "altogether", "together", "each", "discount", "percent", "off"),
        *("voucher", "coupon", "change", "difference", "cheaper", "cheapest", "lowest", "highest", "average", "save"),
        *("budget", "ratio", "compared"),
    }
)
_REASONING: Final = frozenset(
    {
        *("why", "explain", "prove", "derive", "analyse", "analyze", "reason", "reasoning", "compare", "tradeoff"),
        *("design", "plan", "refactor", "debug", "summarise", "summarize", "essay", "translate", "implement"),
    }
)
WORK: Final = _ARITHMETIC | _REASONING
# By a word that each of them has: without that word a phrase needs no search.
WORK_PHRASES: Final = {
    "add": ("add up",),
    "all": ("in all", "it all"),
    "back": ("get back",),
    "costs": ("costs more", "costs less"),
    "def": ("def ",),
    "expensive": ("most expensive",),
    "include": ("#include",),
    "left": ("left then", "left after", "left over"),
    "much": ("how much more", "how much less"),
    "step": ("step by step",),
    "than": ("more than", "less than"),
    "trade": ("trade-off",),
}
WORK_MARKS: Final = ("%", "```")
WORK_ZH: Final = (
    *("总共", "一共", "合计", "总价", "总额", "加起来", "折扣", "打折", "优惠", "减去", "相差", "差价", "差多少"),
    *("找零", "找回", "百分之", "平均", "最便宜", "最贵", "最低", "最高", "便宜多少", "贵多少", "每人", "比例"),
    *("一折", "二折", "三折", "四折", "五折", "六折", "七折", "八折", "九折"),
    *("为什么", "解释", "证明", "推导", "分析", "一步一步", "比较", "设计", "计划", "总结", "翻译"),
)
NUMBER_WORDS: Final = frozenset(
    {
        *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "twenty"),
        *("thirty", "forty", "fifty", "hundred", "thousand", "dozen", "twice", "half", "double", "triple", "third"),
    }
)
NEGATIONS: Final = frozenset(
    {
        *("not", "except", "never", "no", "none", "neither", "nor", "without", "false", "incorrect", "least"),
    }
)
