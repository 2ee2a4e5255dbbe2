"""From a reply of Prometheus to the trigger's value, as KEDA's prometheus scaler reads it."""

import math
import re
from typing import Any, Final

import orjson

_NULL_VALUE: Final = -1.0
"""What a JSON null in the place of the figure becomes."""
_NUMBER: Final = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?|nan", re.IGNORECASE)


class ReplyError(Exception):
    """The reply gives no value: the trigger has failed."""


def value_of(status: int, body: bytes, *, ignore_null_values: bool = True) -> float:
    """Return the trigger's value; raises ReplyError.

    | reply                                    | ignoreNullValues (default) | else  |
    |------------------------------------------|----------------------------|-------|
    | HTTP status outside 200-299, no JSON     | error                      | error |
    | no element (an error document, too)      | 0                          | error |
    | more than one element                    | error                      | error |
    | an element without value                 | 0                          | error |
    | a value list of one                      | error                      | error |
    | a figure that is no number, or too large | error                      | error |
    | null for the figure                      | -1                         | -1    |
    | NaN, +Inf, -Inf                          | 0                          | error |
    | a number                                 | itself                     | itself |
    """
    if not 200 <= status <= 299:  # noqa: PLR2004 - the HTTP success range
        raise ReplyError(f"prometheus query api returned error. status: {status}")
    elements = _elements(body)
    if len(elements) > 1:
        raise ReplyError("prometheus query returned multiple elements")
    pair = _pair(elements[0]) if elements else []
    if not pair:
        return _null("the result or its value list is empty", ignore_null_values=ignore_null_values)
    if len(pair) == 1:
        raise ReplyError("prometheus query didn't return enough values")
    value = _parsed(pair[1])
    if math.isfinite(value):
        return value
    return _null(f"prometheus query returns {value}", ignore_null_values=ignore_null_values)


def is_active(value: float, activation_threshold: float = 0.0) -> bool:
    """Tell whether the trigger wants more than zero replicas: strictly above the threshold."""
    return value > activation_threshold


def metric_milli(value: float) -> int:
    """Return the metric that the HPA is served, in thousandths, cut towards zero."""
    return int(value * 1000)


def _null(detail: str, *, ignore_null_values: bool) -> float:
    if ignore_null_values:
        return 0.0
    raise ReplyError(detail)


def _elements(body: bytes) -> list[Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise ReplyError(f"not JSON: {error}") from error
    data = _absent_or(dict, _absent_or(dict, document).get("data"))
    result: list[Any] = _absent_or(list, data.get("result"))
    return result


def _pair(element: Any) -> list[Any]:
    pair: list[Any] = _absent_or(list, _absent_or(dict, element).get("value"))
    return pair


def _absent_or(kind: type, value: Any) -> Any:
    """Go's decoder leaves what is null or absent empty, and refuses another type."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise ReplyError(f"cannot unmarshal {type(value).__name__}")
    return value


def _parsed(figure: Any) -> float:
    if figure is None:
        return _NULL_VALUE
    if not isinstance(figure, str) or _NUMBER.fullmatch(figure) is None:
        raise ReplyError(f"invalid syntax: {figure!r}")
    value = float(figure)
    if math.isinf(value) and figure.lstrip("+-")[0].isdigit():
        raise ReplyError(f"value out of range: {figure}")
    return value
