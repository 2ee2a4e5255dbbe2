"""The numbers a scorer runs with: read from JSON, checked, and the default that is shipped. Pure.

The default is set so that it never does worse than prompt length where it knows nothing (docs/adr/0011). It claims
nothing about words.
"""

from importlib import resources
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from autoglm_gateway.features import Features

MAX_BYTES: Final = 900_000  # what fits a ConfigMap with room to spare
_MAX_SLOTS: Final = 1 << 16

Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]


class BrokenWeightsError(ValueError):
    """The text is no set of weights; the message says why in one sentence."""


class Weights(BaseModel):
    """`{"version": 1, "bias": -1.2, "features": {"work": 1.0}, "scale": 0.01, "table": [0, -3, 12, ...]}`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    bias: Number
    features: dict[str, Number]
    scale: Number = 0.0
    table: list[Annotated[int, Field(ge=-127, le=127)]] = []

    @field_validator("features")
    @classmethod
    def _known(cls, features: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(features) - set(Features._fields))
        if unknown:
            raise ValueError(f"no such feature: {', '.join(unknown)}; there are {', '.join(Features._fields)}")
        return features

    @field_validator("table")
    @classmethod
    def _power_of_two(cls, table: list[int]) -> list[int]:
        if len(table) > _MAX_SLOTS or len(table) & (len(table) - 1):
            raise ValueError(f"a table has a power of two of slots, at most {_MAX_SLOTS}, not {len(table)}")
        return table

    def vector(self) -> list[float]:
        """Return the weights of the features in the order of `Features`."""
        return [self.features.get(name, 0.0) for name in Features._fields]


def parse_weights(text: str | bytes) -> Weights:
    """Read weights; raises BrokenWeightsError."""
    if len(text) > MAX_BYTES:
        raise BrokenWeightsError(f"{len(text)} bytes are more than {MAX_BYTES}")
    try:
        return Weights.model_validate_json(text)
    except ValueError as error:
        raise BrokenWeightsError(_first_line(error)) from None


def _shipped() -> Weights:
    return parse_weights((resources.files("autoglm_gateway") / "default_weights.json").read_bytes())


def _first_line(error: ValueError) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return str(error)
    first = errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))
    return f"{where}: {first['msg']}" if where else str(first["msg"])


DEFAULT: Final = _shipped()
