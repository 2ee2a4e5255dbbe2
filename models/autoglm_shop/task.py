"""Queries of the shop with one right answer: seeded generation and exact-match scoring.

A prompt asks one question about the shop's products, which a model knows by heart. A look-up
(`Simple`) asks for one value of one product; a `Complex` query needs several values and arithmetic.
Training and test prompts come from disjoint sentences (`phrasing`), filled with random products,
quantities and amounts.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Final

from autoglm_shop.catalogue import SHELF, Product
from autoglm_shop.phrasing import (
    CLOSINGS,
    COMPLEX_TOPICS,
    OPENINGS,
    PHRASINGS,
    SIMPLE_TOPICS,
    Topic,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

STEP: Final = "; "
QUANTITIES: Final = (2, 3, 4, 5, 6)
PERCENTAGES: Final = (10, 20, 25, 50)
NOTES: Final = (100, 200, 300, 400, 500)


class Kind(StrEnum):
    """The class a query belongs to; the values are those of the deployment's `serves`."""

    SIMPLE = "Simple"
    COMPLEX = "Complex"


class Split(StrEnum):
    """Which sentences a query may use."""

    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Query:
    """A prompt as a customer sends it; `steps` is the working in short, empty for a look-up."""

    prompt: str
    kind: Kind
    steps: tuple[str, ...]
    answer: str
    template_id: str

    @property
    def worked(self) -> str:
        """The reply that shows its working before the answer, sums place by place."""
        return STEP.join((*(part for step in self.steps for part in spelled_out(step)), self.answer))

    @property
    def worked_in_short(self) -> str:
        """The same with every sum in one step."""
        return STEP.join((*self.steps, self.answer))


@dataclass(frozen=True, slots=True)
class _Ask:
    """The values that fill a sentence, and what follows from them."""

    values: dict[str, object]
    steps: tuple[str, ...]
    answer: str


def generate(seed: int | str, split: Split, kind: Kind) -> Query:
    """Return the query of this seed; equal arguments give equal queries."""
    rng = Random(f"{seed}/{split}/{kind}")
    topic = rng.choice(SIMPLE_TOPICS if kind is Kind.SIMPLE else COMPLEX_TOPICS)
    sentences = PHRASINGS[topic].train if split is Split.TRAIN else PHRASINGS[topic].test
    number = rng.randrange(len(sentences))
    ask = _ASKS[topic](rng)
    text = rng.choice(OPENINGS) + sentences[number].format(**ask.values) + rng.choice(CLOSINGS)
    return Query(text, kind, ask.steps, ask.answer, f"{topic}/{split}/{number}")


def score(query: Query, reply: str) -> bool:
    """Say whether the last step of a reply is exactly the answer."""
    return reply.rsplit(STEP.strip(), maxsplit=1)[-1].strip() == query.answer


def spelled_out(step: str) -> tuple[str, ...]:
    """Return a sum or difference as one step for each digit of its second number; else the step.

    >>> spelled_out("165 + 27 = 192")
    ('165 + 20 = 185', '185 + 7 = 192')
    """
    match step.split():
        case [left, "+" | "-" as sign, right, "=", _]:
            return tuple(_by_places(int(left), sign, right))
    return (step,)


def _by_places(amount: int, sign: str, right: str) -> Iterator[str]:
    for place, digit in enumerate(right):
        part = int(digit) * 10 ** (len(right) - 1 - place)
        if part:
            result = amount + part if sign == "+" else amount - part
            yield f"{amount} {sign} {part} = {result}"
            amount = result


def demo_queries(seed: int, n: int) -> tuple[Query, ...]:
    """Return `n` different held-out queries, about half of each kind, in mixed order."""
    return tuple(query for _, query in zip(range(n), _distinct(seed), strict=False))


def _distinct(seed: int) -> Iterator[Query]:
    rng = Random(f"demo/{seed}")
    seen: set[str] = set()
    while True:
        query = generate(rng.getrandbits(48), Split.TEST, rng.choice(tuple(Kind)))
        if query.prompt not in seen:
            seen.add(query.prompt)
            yield query


def _euros(amount: int) -> str:
    return f"{amount} euros"


def _price(rng: Random) -> _Ask:
    product = rng.choice(SHELF)
    return _Ask({"p": product.name}, (), _euros(product.price))


def _stock(rng: Random) -> _Ask:
    product = rng.choice(SHELF)
    return _Ask({"p": product.name, "ps": product.plural}, (), f"{product.stock} left")


def _colour(rng: Random) -> _Ask:
    product = rng.choice(SHELF)
    return _Ask({"p": product.name}, (), product.colour)


def _days(rng: Random) -> _Ask:
    product = rng.choice(SHELF)
    return _Ask({"p": product.name}, (), f"{product.days} days")


def _product_of(quantity: int, product: Product) -> str:
    return f"{quantity} x {product.price} = {quantity * product.price}"


def _total(rng: Random) -> _Ask:
    first, second = rng.sample(SHELF, 2)
    q, r = rng.choice(QUANTITIES), rng.choice(QUANTITIES)
    a, b = q * first.price, r * second.price
    steps = (_product_of(q, first), _product_of(r, second), f"{a} + {b} = {a + b}")
    values = {"q": q, "ps": first.plural, "r": r, "os": second.plural}
    return _Ask(values, steps, _euros(a + b))


def _voucher(rng: Random) -> _Ask:
    product, q = rng.choice(SHELF), rng.choice(QUANTITIES)
    full = q * product.price
    off = rng.randint(1, min(40, full - 1))
    steps = (_product_of(q, product), f"{full} - {off} = {full - off}")
    return _Ask({"q": q, "ps": product.plural, "v": off}, steps, _euros(full - off))


def _percent(rng: Random) -> _Ask:
    offers = [
        (product, q, percent)
        for product in SHELF
        for q in QUANTITIES
        for percent in PERCENTAGES
        if q * product.price * percent % 100 == 0
    ]
    product, q, percent = rng.choice(offers)
    full = q * product.price
    off = full * percent // 100
    steps = (
        _product_of(q, product),
        f"{percent} percent of {full} = {off}",
        f"{full} - {off} = {full - off}",
    )
    return _Ask({"q": q, "ps": product.plural, "v": percent}, steps, _euros(full - off))


def _change(rng: Random) -> _Ask:
    product, q = rng.choice(SHELF), rng.choice(QUANTITIES)
    cost = q * product.price
    paid = rng.choice([note for note in NOTES if note > cost])
    steps = (_product_of(q, product), f"{paid} - {cost} = {paid - cost}")
    return _Ask({"q": q, "ps": product.plural, "v": paid}, steps, _euros(paid - cost))


def _difference(rng: Random) -> _Ask:
    pair = rng.sample(SHELF, 2)
    (q, dear), (r, cheap) = sorted(
        ((rng.choice(QUANTITIES), product) for product in pair), key=lambda line: -line[0] * line[1].price
    )
    a, b = q * dear.price, r * cheap.price
    steps = (_product_of(q, dear), _product_of(r, cheap), f"{a} - {b} = {a - b}")
    return _Ask({"q": q, "ps": dear.plural, "r": r, "os": cheap.plural}, steps, _euros(a - b))


def _cheapest(rng: Random) -> _Ask:
    offered, q = rng.sample(SHELF, 3), rng.choice(QUANTITIES)
    cheapest = min(offered, key=lambda product: product.price)
    prices = tuple(f"{product.name} {product.price}" for product in offered)
    values = dict(zip(("p", "o", "x"), (product.name for product in offered), strict=True))
    steps = (*prices, _product_of(q, cheapest))
    return _Ask({"q": q, **values}, steps, _euros(q * cheapest.price))


_ASKS: Final = {
    Topic.PRICE: _price,
    Topic.STOCK: _stock,
    Topic.COLOUR: _colour,
    Topic.DAYS: _days,
    Topic.TOTAL: _total,
    Topic.VOUCHER: _voucher,
    Topic.PERCENT: _percent,
    Topic.CHANGE: _change,
    Topic.DIFFERENCE: _difference,
    Topic.CHEAPEST: _cheapest,
}
