"""How many tokens an answer will have, told before it is written. Pure.

A ladder; the first rung that knows something counts:

| rung      | what it knows                                                                       |
|-----------|-------------------------------------------------------------------------------------|
| template  | median of the last answers to prompts that begin alike (same tenant, first words)   |
| words     | the line of `lexicon`: the question's words, its tenant, the prompt's length        |
| tenant    | median of the tenant's last answers, until enough was answered for the words        |
| everybody | median of all last answers                                                          |

and never more than the requested `max_tokens`. Medians are of the last 32 answers at most.

Predictions are judged as they come true: the rank correlation (Kendall's tau-b) over the last answers tells whether an
order by them means anything. Below `TRUSTED_TAU` the queue had better keep to arrival (`trusted`).
"""

import math
from bisect import bisect_left, bisect_right, insort
from collections import Counter, OrderedDict, deque
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Final, TypeVar

from autoglm_gateway.queueing.lexicon import Clue, Lexicon

TRUSTED_TAU: Final = 0.2
_JUDGED: Final = 64
_ENOUGH: Final = 32
_EVERY: Final = 64
_LAST: Final = 32
_KNOWN: Final = 4
_KNOWN_WORDS: Final = 32
_MAX_KEYS: Final = 4096
_Key = TypeVar("_Key")


@dataclass(slots=True)
class _Recent:
    """The last answers of one kind; `middle` is their median."""

    middle: float = 0.0
    lengths: deque[int] = field(default_factory=deque)
    _ordered: list[int] = field(default_factory=list)

    def saw(self, tokens: int) -> None:
        ordered = self._ordered
        if len(ordered) == _LAST:
            del ordered[bisect_left(ordered, self.lengths.popleft())]
        self.lengths.append(tokens)
        insort(ordered, tokens)
        self.middle = float(ordered[len(ordered) // 2])

    @property
    def known(self) -> bool:
        return len(self.lengths) >= _KNOWN


@dataclass(slots=True)  # not frozen: that costs a call for every field of every query
class Asked:
    """What is known of a query before its answer; `template` names prompts that begin alike."""

    tenant: str
    template: str
    prompt_tokens: int
    max_tokens: int = 0
    """0: none was requested."""
    text: str = ""
    """The last question."""
    clue: Clue | None = field(default=None, compare=False)
    """What the words say, once somebody has looked."""


@dataclass(slots=True)
class Predictor:
    """Learns lengths of answers of one pool; `unknown` tokens are predicted until anything is known."""

    unknown: float = 128.0
    _templates: OrderedDict[tuple[str, str], _Recent] = field(default_factory=OrderedDict)
    _tenants: OrderedDict[str, _Recent] = field(default_factory=OrderedDict)
    _all: _Recent = field(default_factory=_Recent)
    _lexicon: Lexicon = field(default_factory=Lexicon)
    _judged: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=_JUDGED))
    _since: int = 0
    tau: float = 1.0

    @property
    def trusted(self) -> bool:
        """Whether an order by predictions means anything; True until enough answers say otherwise."""
        return self.tau >= TRUSTED_TAU

    def predict(self, asked: Asked) -> float:
        """Return the expected tokens of the answer, at least 1."""
        guess = self._guess(asked)
        return max(1.0, min(guess, asked.max_tokens) if asked.max_tokens > 0 else guess)

    def saw(self, asked: Asked, predicted: float, tokens: int) -> None:
        """Learn from a whole answer; one that was cut off by the client or a failure teaches nothing."""
        _recent_of(self._templates, (asked.tenant, asked.template)).saw(tokens)
        _recent_of(self._tenants, asked.tenant).saw(tokens)
        self._all.saw(tokens)
        self._lexicon.saw(self._clue(asked), tokens)
        self._judged.append((predicted, tokens))
        self._since += 1
        if len(self._judged) >= _ENOUGH and self._since >= _EVERY:
            self._since = 0
            self.tau = kendall_tau(list(self._judged))

    def _guess(self, asked: Asked) -> float:
        template = self._templates.get((asked.tenant, asked.template))
        if template is not None and template.known:
            return template.middle
        if len(self._all.lengths) >= _KNOWN_WORDS:
            return self._lexicon.predict(self._clue(asked))
        tenant = self._tenants.get(asked.tenant)
        if tenant is not None and tenant.known:
            return tenant.middle
        return self._all.middle if self._all.known else self.unknown

    def _clue(self, asked: Asked) -> Clue:
        clue = asked.clue
        if clue is None:
            clue = asked.clue = self._lexicon.clue(asked.text, asked.tenant, asked.prompt_tokens)
        return clue


def _recent_of(kinds: "OrderedDict[_Key, _Recent]", key: _Key) -> _Recent:
    recent = kinds.get(key)
    if recent is None:
        recent = kinds[key] = _Recent()
        if len(kinds) > _MAX_KEYS:
            kinds.popitem(last=False)
    else:
        kinds.move_to_end(key)
    return recent


def kendall_tau(pairs: list[tuple[float, float]]) -> float:
    """Return Kendall's tau-b of two rankings, -1 to 1; 0 when one of them has no order.

    >>> kendall_tau([(1, 1), (2, 2), (3, 3)]), kendall_tau([(1, 3), (2, 2), (3, 1)])
    (1.0, -1.0)
    """
    every = len(pairs) * (len(pairs) - 1) // 2
    left = every - _tied(first for first, _ in pairs)
    right = every - _tied(second for _, second in pairs)
    if not left or not right:
        return 0.0
    either = left + right - every + _tied(pairs)  # pairs of pairs that are tied in neither
    return (either - 2 * _inversions(pairs)) / math.sqrt(left * right)


def _tied(values: Iterable[Hashable]) -> int:
    """Return how many pairs of equal values there are."""
    return sum(count * (count - 1) // 2 for count in Counter(values).values())


def _inversions(pairs: list[tuple[float, float]]) -> int:
    """Return how many pairs are ranked the other way round by the second number (Knight's method)."""
    seen: list[float] = []
    swaps = 0
    for _, second in sorted(pairs):
        place = bisect_right(seen, second)
        swaps += len(seen) - place
        seen.insert(place, second)
    return swaps
