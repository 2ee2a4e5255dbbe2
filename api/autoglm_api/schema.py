"""The base of every model of the resource, and the field types that Kubernetes schemas know."""

import math
from decimal import Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

QUANTITY_PATTERN: Final = r"^[0-9]+(\.[0-9]{1,3})?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$"
# More than users may write: the API server rewrites amounts, 1024Ti as 1Pi.
_SUFFIXES: Final = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("0.001"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


class Model(BaseModel):
    """A part of the resource: camelCase outside, immutable inside, unknown fields refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object as Kubernetes stores it: camelCase, without absent fields."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def milli_units(quantity: int | str) -> int:
    """Return a Kubernetes quantity in thousandths, rounded up as Kubernetes does.

    >>> milli_units("500m"), milli_units(4), milli_units("1.5")
    (500, 4000, 1500)

    Raises:
        ValueError: the text is no quantity.
    """
    text = str(quantity)
    length = next((length for length in (2, 1) if text[-length:] in _SUFFIXES), 0)
    number, factor = (text[:-length], _SUFFIXES[text[-length:]]) if length else (text, Decimal(1))
    try:
        return math.ceil(Decimal(number) * factor * 1000)
    except (ArithmeticError, ValueError) as error:  # Decimal reads "Infinity" and "NaN", too
        raise ValueError(f"{text!r} is no quantity") from error


def _positive(quantity: int | str) -> int | str:
    if milli_units(quantity) <= 0:
        raise ValueError("must be greater than 0")
    return quantity


def cel(rule: str, message: str, field_path: str | None = None) -> dict[str, str]:
    """Return one CEL validation rule; the message is the sentence that the user reads."""
    written = {"rule": rule, "message": message}
    if field_path is not None:
        written["fieldPath"] = field_path
    return written


def rules(*written: dict[str, str]) -> dict[str, Any]:
    """Return CEL rules as the schema extension that carries them."""
    return {"x-kubernetes-validations": list(written)}


def list_map(*keys: str) -> dict[str, Any]:
    """Return the schema extension of a list whose items are told apart by these fields."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


# `pattern` counts for text and `minimum` for whole numbers.
_INT_OR_STRING: Final = {
    "x-kubernetes-int-or-string": True,
    "pattern": QUANTITY_PATTERN,
    "maxLength": 20,
    "minimum": 0,
}
_ABOVE_ZERO: Final = rules(
    cel(
        "type(self) == int ? self > 0 : quantity(string(self)).isGreaterThan(quantity('0'))",
        'must be greater than 0, such as 4, "1.5" or "500m"',
    )
)

Quantity = Annotated[int | str, Field(json_schema_extra=_INT_OR_STRING)]
PositiveQuantity = Annotated[
    int | str, Field(json_schema_extra={**_INT_OR_STRING, **_ABOVE_ZERO}), AfterValidator(_positive)
]
