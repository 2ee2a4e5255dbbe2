"""Queries of the shop with one right answer: seeded generation and exact-match scoring.

A prompt lists a few products and asks one question about them. A look-up (`Simple`) repeats one
value of the list; a `Complex` query needs arithmetic or a search over several products. Training
and test prompts come from disjoint sentences (`phrasing`), with random products and values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import TYPE_CHECKING, Final

from autoglm_shop.catalogue import Product, listing, shelf_of
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
QUANTITIES: Final = (2, 3, 4)
PERCENTAGES: Final = (10, 20, 50)
NOTES: Final = (100, 200, 300)


class Kind(StrEnum):
    """The class a query belongs to; the values are those of the deployment's `serves`."""

    SIMPLE = "Simple"
    COMPLEX = "Complex"


class Split(StrEnum):
    """Which sentences a query may use."""

    TRAIN = "train"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Question:
    """One question about a shelf; `steps` is the working, empty for a look-up."""

    text: str
    steps: tuple[str, ...]
    answer: str
    template_id: str

    @property
    def worked(self) -> str:
        """The reply that shows its working before the answer."""
        return STEP.join((*self.steps, self.answer))


@dataclass(frozen=True, slots=True)
class Query:
    """A prompt as a customer sends it, with the only right `answer`."""

    prompt: str
    kind: Kind
    answer: str
    template_id: str
    worked: str


@dataclass(frozen=True, slots=True)
class _Ask:
    """The values that fill a sentence, and what follows from them."""

    values: dict[str, object]
    steps: tuple[str, ...]
    answer: str


def generate(seed: int, split: Split, kind: Kind) -> Query:
    """Return the query of this seed; equal arguments give equal queries."""
    rng = Random(f"{seed}/{split}/{kind}")
    shelf = shelf_of(rng, rng.randint(2, 4) if kind is Kind.SIMPLE else rng.randint(3, 5))
    return query_for(rng, shelf, split, kind)


def query_for(rng: Random, shelf: tuple[Product, ...], split: Split, kind: Kind) -> Query:
    """Return one query about a given shelf of at least three products (one if simple)."""
    listed = listing(rng, shelf)
    asked = question_for(rng, shelf, split, kind)
    return Query(f"{listed} {asked.text}", kind, asked.answer, asked.template_id, asked.worked)


def question_for(rng: Random, shelf: tuple[Product, ...], split: Split, kind: Kind) -> Question:
    """Return one question about a shelf: a topic, a sentence of the split, and its answer."""
    topic = rng.choice(SIMPLE_TOPICS if kind is Kind.SIMPLE else COMPLEX_TOPICS)
    sentences = PHRASINGS[topic].train if split is Split.TRAIN else PHRASINGS[topic].test
    number = rng.randrange(len(sentences))
    ask = _ASKS[topic](rng, shelf)
    text = rng.choice(OPENINGS) + sentences[number].format(**ask.values) + rng.choice(CLOSINGS)
    return Question(text, ask.steps, ask.answer, f"{topic}/{split}/{number}")


def score(query: Query, reply: str) -> bool:
    """Say whether the last step of a reply is exactly the answer."""
    return reply.rsplit(STEP.strip(), maxsplit=1)[-1].strip() == query.answer


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


def _price(rng: Random, shelf: tuple[Product, ...]) -> _Ask:
    product = rng.choice(shelf)
    return _Ask({"p": product.name}, (), _euros(product.price))


def _stock(rng: Random, shelf: tuple[Product, ...]) -> _Ask:
    product = rng.choice(shelf)
    return _Ask({"p": product.name, "ps": product.plural}, (), f"{product.stock} left")


def _colour(rng: Random, shelf: tuple[Product, ...]) -> _Ask:
    product = rng.choice(shelf)
    return _Ask({"p": product.name}, (), product.colour)


def _days(rng: Random, shelf: tuple[Product, ...]) -> _Ask:
    product = rng.choice(shelf)
    return _Ask({"p": product.name}, (), f"{product.days} days")


def _product_of(quantity: int, product: Product) -> str:
    return f"{quantity} x {product.price} = {quantity * product.price}"


def _total(rng: Random, shelf: tuple[Product, ...]) -> _Ask:
    first, second = rng.sample(shelf, 2)
    q, r = rng.choice(QUANTITIES), rng.choice(QUANTITIES)
    a, b = q * first.price, r * second.price
    steps = (_product_of(q, first), _product_of(r, second), f"{a} + {b} = {a + b}")
    values = {"q": q, "ps": first.plural, "r": r, "os": second.plural}
    return _Ask(values, steps, _euros(a + b))


def _voucher(rng: Random, shelf: tuple[Product, ...]) -> _Ask:
    product, q = rng.choice(shelf), rng.choice(QUANTITIES)
    full = q * product.price
    off = rng.randint(1, min(40, full - 1))
    steps = (_product_of(q, product), f"{full} - {off} = {full - off}")
    return _Ask({"q": q, "ps": product.plural, "v": off}, steps, _euros(full - off))


def _percent(rng: Random, shelf: tuple[Product, ...]) -> _Ask:
    offers = [
        (product, q, percent)
        for product in shelf
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


def _change(rng: Random, shelf: tuple[Product, ...]) -> _Ask:
    product, q = rng.choice(shelf), rng.choice(QUANTITIES)
    cost = q * product.price
    paid = rng.choice([note for note in NOTES if note > cost])
    steps = (_product_of(q, product), f"{paid} - {cost} = {paid - cost}")
    return _Ask({"q": q, "ps": product.plural, "v": paid}, steps, _euros(paid - cost))


def _difference(rng: Random, shelf: tuple[Product, ...]) -> _Ask:
    dear, cheap = sorted(rng.sample(shelf, 2), key=lambda product: -product.price)
    gap = dear.price - cheap.price
    step = f"{dear.price} - {cheap.price} = {gap}"
    return _Ask({"p": dear.name, "o": cheap.name}, (step,), _euros(gap))


def _cheapest(rng: Random, shelf: tuple[Product, ...]) -> _Ask:
    colour = rng.choice(shelf).colour
    matching = [product for product in shelf if product.colour == colour]
    steps = tuple(f"{product.name} {product.price}" for product in matching)
    return _Ask({"c": colour}, steps, _euros(min(product.price for product in matching)))


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
