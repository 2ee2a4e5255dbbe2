"""The task family: its answers are recomputed here from nothing but the text of the prompt."""

import re

import pytest

from autoglm_shop.catalogue import SHELF, Product
from autoglm_shop.phrasing import COMPLEX_TOPICS, PHRASINGS, SIMPLE_TOPICS, Topic
from autoglm_shop.task import Kind, Query, Split, demo_queries, generate, score, spelled_out

BY_NAME = {name: product for product in SHELF for name in (product.name, product.plural)}


def queries(kind: Kind, split: Split = Split.TEST) -> list[Query]:
    return [generate(seed, split, kind) for seed in range(300)]


def answer(query: Query) -> str:
    """The right answer, worked out from the prompt and the shelf."""
    named = [BY_NAME[word] for word in re.findall(r"\w+", query.prompt) if word in BY_NAME]
    topic = Topic(query.template_id.split("/")[0])
    if topic in SIMPLE_TOPICS:
        (product,) = named
        return {
            Topic.PRICE: f"{product.price} euros",
            Topic.STOCK: f"{product.stock} left",
            Topic.COLOUR: product.colour,
            Topic.DAYS: f"{product.days} days",
        }[topic]
    return f"{amount(topic, named, re.findall(r'([0-9]+),? ([a-z]+)', query.prompt))} euros"


def amount(topic: Topic, named: list[Product], quantities: list[tuple[str, str]]) -> int:
    """What the numbers of a question about an order come to."""
    costs = [int(n) * BY_NAME[unit].price for n, unit in quantities if unit in BY_NAME]
    given = next((int(n) for n, unit in quantities if unit not in BY_NAME), 0)
    match topic:
        case Topic.VOUCHER:
            return costs[0] - given
        case Topic.CHANGE:
            return given - costs[0]
        case Topic.PERCENT:
            return costs[0] - costs[0] * given // 100
        case Topic.DIFFERENCE:
            return max(costs) - min(costs)
        case Topic.CHEAPEST:
            return given * min(product.price for product in named)
    return sum(costs)


@pytest.mark.parametrize("split", Split)
@pytest.mark.parametrize("kind", Kind)
def test_answers_follow_from_the_prompt(kind: Kind, split: Split) -> None:
    for query in queries(kind, split):
        assert query.answer == answer(query), query.prompt


@pytest.mark.parametrize("kind", Kind)
def test_workings_are_true_and_end_with_the_answer(kind: Kind) -> None:
    for query, text in ((q, text) for q in queries(kind) for text in (q.worked, q.worked_in_short)):
        *steps, last = text.split("; ")
        assert last == query.answer
        for left, right in (step.split(" = ") for step in steps if " = " in step):
            expression = left.replace("percent of", "/ 100 *").replace("x", "*")
            assert eval(expression) == float(right)


@pytest.mark.parametrize(
    ("step", "spelled"),
    [
        ("165 + 27 = 192", ("165 + 20 = 185", "185 + 7 = 192")),
        ("300 - 105 = 195", ("300 - 100 = 200", "200 - 5 = 195")),
        ("9 + 4 = 13", ("9 + 4 = 13",)),
        ("3 x 12 = 36", ("3 x 12 = 36",)),
        ("20 percent of 50 = 10", ("20 percent of 50 = 10",)),
        ("mug 55", ("mug 55",)),
    ],
)
def test_sums_are_spelled_out_place_by_place(step: str, spelled: tuple[str, ...]) -> None:
    assert spelled_out(step) == spelled


def test_look_ups_need_no_working() -> None:
    assert all(query.worked == query.answer for query in queries(Kind.SIMPLE))


def test_the_same_seed_gives_the_same_query() -> None:
    assert generate(7, Split.TEST, Kind.COMPLEX) == generate(7, Split.TEST, Kind.COMPLEX)


def test_no_sentence_is_both_taught_and_tested() -> None:
    taught = {sentence for phrasings in PHRASINGS.values() for sentence in phrasings.train}
    tested = {sentence for phrasings in PHRASINGS.values() for sentence in phrasings.test}
    assert not taught & tested
    assert all(len(set(phrasings.test)) >= 4 for phrasings in PHRASINGS.values())


def test_every_word_of_a_tested_sentence_is_taught_somewhere() -> None:
    def words(split: str) -> set[str]:
        return {w for p in PHRASINGS.values() for s in getattr(p, split) for w in re.findall("[a-z]+", s)}

    assert words("test") <= words("train")


@pytest.mark.parametrize("kind", Kind)
def test_a_split_uses_its_own_sentences_and_all_of_them(kind: Kind) -> None:
    topics = SIMPLE_TOPICS if kind is Kind.SIMPLE else COMPLEX_TOPICS
    everything = {f"{t}/test/{n}" for t in topics for n in range(len(PHRASINGS[t].test))}
    assert {query.template_id for query in queries(kind)} == everything


@pytest.mark.parametrize(
    ("reply", "right"),
    [
        ("45 euros", True),
        (" 45 euros ", True),
        ("3 x 15 = 45; 45 euros", True),
        ("3 x 15 = 44; 45 euros", True),
        ("45 euros; 44 euros", False),
        ("45", False),
        ("145 euros", False),
        ("", False),
    ],
)
def test_scoring_is_exact_on_the_last_step(reply: str, *, right: bool) -> None:
    assert score(Query("", Kind.COMPLEX, (), "45 euros", ""), reply) is right


def test_demo_queries_are_many_different_and_of_both_kinds() -> None:
    asked = demo_queries(seed=1, n=240)
    assert len({query.prompt for query in asked}) == 240
    assert 90 < sum(query.kind is Kind.COMPLEX for query in asked) < 150
    assert {query.template_id.split("/")[0] for query in asked} == {topic.value for topic in Topic}
    assert asked[:50] == demo_queries(seed=1, n=50)
    assert asked != demo_queries(seed=2, n=240)
