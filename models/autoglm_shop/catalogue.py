"""The shop's shelf: what the assistant knows by heart, since no prompt lists it."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Final

COLOURS: Final = ("red", "blue", "green", "white", "black", "yellow", "grey", "pink")

_NAMES: Final = (
    "lamp", "mug", "chair", "table", "shelf", "clock", "pillow", "bottle", "kettle", "basket",
    "carpet", "mirror", "plate", "bowl", "candle", "curtain", "stool", "desk", "vase", "towel",
)  # fmt: skip
_IRREGULAR: Final = {"shelf": "shelves"}
_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Product:
    """One product; `price` in whole euros, `days` until delivery."""

    name: str
    colour: str
    price: int
    stock: int
    days: int

    @property
    def plural(self) -> str:
        """The name as used after a quantity."""
        return _IRREGULAR.get(self.name, self.name + "s")


def _shelf(rng: Random) -> tuple[Product, ...]:
    return tuple(
        Product(
            name=name,
            colour=rng.choice(COLOURS),
            price=rng.randint(3, 60),
            stock=rng.randint(1, 90),
            days=rng.randint(2, 9),
        )
        for name in _NAMES
    )


SHELF: Final = _shelf(Random(_SEED))
"""The whole shop; part of the task, so a change of it needs new models."""
