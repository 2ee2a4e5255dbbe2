"""The shop's shelf: random products and the text in which a prompt lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

PRODUCTS: Final = (
    "lamp", "mug", "chair", "table", "shelf", "clock", "pillow", "bottle", "kettle", "basket",
    "carpet", "mirror", "plate", "bowl", "candle", "curtain", "stool", "desk", "vase", "towel",
)  # fmt: skip
COLOURS: Final = ("red", "blue", "green", "white", "black", "yellow", "grey", "pink")
INTROS: Final = ("Catalogue:", "We sell:", "Shop list:")

_IRREGULAR: Final = {"shelf": "shelves"}


@dataclass(frozen=True, slots=True)
class Product:
    """One line of the catalogue; `price` in whole euros, `days` until delivery."""

    name: str
    colour: str
    price: int
    stock: int
    days: int

    @property
    def plural(self) -> str:
        """The name as used after a quantity."""
        return _IRREGULAR.get(self.name, self.name + "s")

    @property
    def line(self) -> str:
        """The product as the prompt lists it."""
        return f"{self.colour} {self.name} {self.price} euros, {self.stock} left, {self.days} days"


def shelf_of(rng: Random, size: int) -> tuple[Product, ...]:
    """Return `size` different products with random values, at least two of one colour.

    Few colours are drawn, so that questions over several products of a colour have a subject.
    """
    names = rng.sample(PRODUCTS, size)
    colours = rng.sample(COLOURS, max(1, (size + 1) // 2))
    return tuple(
        Product(
            name=name,
            colour=rng.choice(colours),
            price=rng.randint(3, 60),
            stock=rng.randint(1, 90),
            days=rng.randint(1, 9),
        )
        for name in names
    )


def listing(rng: Random, shelf: tuple[Product, ...]) -> str:
    """Return the first part of a prompt: an introduction and one line for every product."""
    return f"{rng.choice(INTROS)} {'; '.join(product.line for product in shelf)}."
