"""How many tokens an answer will have, told before it is written. Pure.

A ladder; the first rung that knows something counts:

| rung      | what it knows                                                                    |
|-----------|----------------------------------------------------------------------------------|
| template  | mean of earlier answers to prompts that begin alike (same tenant, first words)   |
| tenant    | mean of the tenant's earlier answers, corrected by the prompt's length           |
| everybody | mean of all earlier answers, corrected by the prompt's length                    |

and never more than the requested `max_tokens`. Means forget (weight 1/16 for a new answer). The correction is a line
through (log prompt tokens, answer tokens), learned online by recursive least squares with forgetting.

Predictions are judged as they come true: the rank correlation (Kendall's tau-b) over the last answers tells whether an
order by them means anything. Below `TRUSTED_TAU` the queue had better keep to arrival (`trusted`).
"""

import math
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Final, TypeVar

TRUSTED_TAU: Final = 0.2
_JUDGED: Final = 64
_ENOUGH: Final = 32
_EVERY: Final = 64  # 64 answers are 2,016 pairs: half a millisecond
_SHARE: Final = 1 / 16
_KNOWN: Final = 4
_MAX_KEYS: Final = 4096
_FORGET: Final = 0.995
_Key = TypeVar("_Key")


@dataclass(slots=True)
class _Mean:
    value: float = 0.0
    count: int = 0

    def saw(self, value: float) -> None:
        self.count += 1
        self.value += (value - self.value) * max(1 / self.count, _SHARE)


@dataclass(slots=True)
class _Line:
    """answer = a + b * x by weighted least squares; old answers fade."""

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

    @property
    def slope(self) -> float:
        spread = self.weight * self.xx - self.x * self.x
        return 0.0 if spread <= 1e-9 * self.weight else (self.weight * self.xy - self.x * self.y) / spread

    def at(self, x: float) -> float:
        if not self.weight:
            return 0.0
        return self.y / self.weight + self.slope * (x - self.x / self.weight)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is known of a query before its answer; `template` names prompts that begin alike."""

    tenant: str
    template: str
    prompt_tokens: int
    max_tokens: int = 0
    """0: none was requested."""


@dataclass(slots=True)
class Predictor:
    """Learns lengths of answers of one pool; `unknown` tokens are predicted until anything is known."""

    unknown: float = 128.0
    _templates: OrderedDict[tuple[str, str], _Mean] = field(default_factory=OrderedDict)
    _tenants: OrderedDict[str, _Mean] = field(default_factory=OrderedDict)
    _all: _Mean = field(default_factory=_Mean)
    _line: _Line = field(default_factory=_Line)
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
        _mean_of(self._templates, (asked.tenant, asked.template)).saw(tokens)
        _mean_of(self._tenants, asked.tenant).saw(tokens)
        self._all.saw(tokens)
        self._line.saw(_log(asked), tokens)
        self._judged.append((predicted, tokens))
        self._since += 1
        if len(self._judged) >= _ENOUGH and self._since >= _EVERY:
            self._since = 0
            self.tau = kendall_tau(list(self._judged))

    def _guess(self, asked: Asked) -> float:
        template = self._templates.get((asked.tenant, asked.template))
        if template is not None and template.count >= _KNOWN:
            return template.value
        if self._all.count < _KNOWN:
            return self.unknown
        usual = self._line.at(_log(asked))
        tenant = self._tenants.get(asked.tenant)
        if tenant is None or tenant.count < _KNOWN or self._all.value <= 0:
            return usual
        return usual * tenant.value / self._all.value


def _log(asked: Asked) -> float:
    return math.log1p(asked.prompt_tokens)


def _mean_of(means: "OrderedDict[_Key, _Mean]", key: _Key) -> _Mean:
    mean = means.get(key)
    if mean is None:
        mean = means[key] = _Mean()
        if len(means) > _MAX_KEYS:
            means.popitem(last=False)
    else:
        means.move_to_end(key)
    return mean


def kendall_tau(pairs: list[tuple[float, float]]) -> float:
    """Return Kendall's tau-b of two rankings, -1 to 1; 0 when one of them has no order.

    >>> kendall_tau([(1, 1), (2, 2), (3, 3)]), kendall_tau([(1, 3), (2, 2), (3, 1)])
    (1.0, -1.0)
    """
    agree = left = right = 0
    for index, (a, b) in enumerate(pairs):
        for c, d in pairs[:index]:
            first, second = (a > c) - (a < c), (b > d) - (b < d)
            agree += first * second
            left += first * first
            right += second * second
    return agree / math.sqrt(left * right) if left and right else 0.0
