"""From the text of a sample to a reading: no number, a negative one or one that cannot be is a problem, never 0."""

import math
from typing import Final

from autoglm_operator.scaling.readings import Fresh, NoData, Problem, Reading

MAX_VALUE: Final = 1e12
"""Larger figures are nothing of this world, and would leave int64 thousandths."""


def number_of(text: str, largest: float = MAX_VALUE) -> Reading:
    """Return the figure in thousandths; `largest` is the end of its range, in its own unit."""
    value = float_of(text)
    if value is None or math.isnan(value):
        return NoData(Problem.NOT_A_NUMBER, f"value {text[:40]!r}")
    if value < 0:
        return NoData(Problem.NEGATIVE, f"value {text[:40]!r}")
    if value > largest:
        return NoData(Problem.OUT_OF_RANGE, f"value {text[:40]!r}")
    return Fresh(round(value * 1000))


def float_of(text: str) -> float | None:
    """Return the number that Prometheus wrote, NaN and infinities included; None for what is no number."""
    try:
        return float(text)
    except ValueError:
        return None
