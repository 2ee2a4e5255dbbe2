import json
from math import exp, log

import pytest

from autoglm_gateway.features import Asked, Features, question_of, see, words_of
from autoglm_gateway.score import Scorer, Slots
from autoglm_gateway.signs import WORK_PHRASES
from autoglm_gateway.weights import DEFAULT, BrokenWeightsError, Weights, parse_weights

CHOICES = "\nA. 12 red mugs\nB. 3 red lamps\nC. none\nD. 7 red mugs\nAnswer:"


def asked(text: str) -> Asked:
    return Asked(text, len(text))


def score(text: str, weights: Weights = DEFAULT) -> float:
    return Scorer(weights).score(asked(text))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't PANIC, 42 times!", ["don", "t", "panic", "times"]),
        ("Gr\u00fc\u00dfe 3 \u4f60\u597d", ["gr\u00fc\u00dfe", "\u4f60", "\u597d"]),
        ("", []),
        ("\u4f60\u597dabc\u4e16\u754c42\u4eba", ["\u4f60", "\u597d", "abc", "\u4e16", "\u754c", "\u4eba"]),
        ("na\u00efve\u3001\u3400\u9fff\u0430", ["na\u00efve", "\u3400", "\u9fff", "\u0430"]),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert words_of(text.lower()) == words


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("What is it?", 0),
        ("1,000 and 2.5 or two", 3),
        ("We sell: mug 3 euros; lamp 4 euros. And 5?", 1),
        ("\u4f60 3 4", 2),
        ("Pick 5" + CHOICES, 0),
    ],
)
def test_numbers_of_the_question(text: str, numbers: int) -> None:
    assert see(asked(text)).features.numbers == pytest.approx(log(1 + numbers))


def test_what_choices_say() -> None:
    features = see(asked("Which of 5?" + CHOICES)).features
    assert features.repetition == pytest.approx(5 / 7)  # red three times and mugs twice, of seven
    assert features.choice_numbers == pytest.approx(log(4))
    assert features.choice_chars == pytest.approx(log(1 + (11 + 11 + 4 + 10) / 4))


@pytest.mark.parametrize("text", ["A. only one choice", "x\nA. one\nno other", "x\n(Apart) from that"])
def test_one_choice_is_none(text: str) -> None:
    assert see(asked(text)).features.choice_chars == 0


def test_signs_of_work_count_once_so_that_length_decides_among_word_problems() -> None:
    short, long = "What is the total of 2 and 3?", "What is the total of 2 and 3, in euros, for the whole year?"
    assert score(short) < score(long)
    assert see(asked("total 2")).features.work == see(asked("percent")).features.work == pytest.approx(log(3.57))


@pytest.mark.parametrize(("word", "phrase"), [(word, one) for word, some in WORK_PHRASES.items() for one in some])
def test_every_phrase_is_a_sign_of_work(word: str, phrase: str) -> None:
    assert word in words_of(phrase)
    assert see(asked(f"x {phrase} y")).features.work == pytest.approx(log(1 + (len(phrase) + 4 + 250) / 100))


@pytest.mark.parametrize("text", ["it was left in back", "how much is it", "one step, by step two", "includes"])
def test_the_words_of_a_phrase_apart_are_none(text: str) -> None:
    assert see(asked(text)).features.work < log(1 + 150 / 100)


def test_two_numbers_are_a_sign_of_work_and_more_are_no_more() -> None:
    one, two, five = (see(asked(text)).features.work for text in ("a 1    ", "a 1 2  ", "1 2 3 4"))
    assert one < two == five


def test_question_of() -> None:
    assert question_of("a 1; b 2. How many?") == "How many?"
    assert question_of("no list 1 2") == "no list 1 2"


def test_a_huge_text_is_searched_at_its_end_only() -> None:
    assert len(see(asked("total " * 1_000_000)).words) < 2000


def test_the_score_is_the_logistic_of_the_line() -> None:
    weights = Weights(bias=-1.0, features={"work": 2.0})
    assert score("x" * 100, weights) == pytest.approx(100 / (1 + exp(1.0 - 2 * log(2))))
    assert score("x", Weights(bias=1e6, features={})) == pytest.approx(100)


def test_words_and_pairs_have_weights_of_their_own() -> None:
    table = [0] * 4096
    word, _, pair = Slots(4096).of(["red", "lamp"])
    table[word], table[pair] = 10, 20
    weights = Weights(bias=0, features={}, scale=0.1, table=table)
    assert score("red", weights) == pytest.approx(100 / (1 + exp(-1.0)))
    assert score("red lamp", weights) == pytest.approx(100 / (1 + exp(-3.0 / 3**0.5)))
    assert score("lamp red", weights) < score("red lamp", weights)


def test_pairs_of_characters_tell_chinese_words_apart() -> None:
    """One character says little in Chinese: the same four mean other things in another order."""
    table = [0] * 4096
    *_, pair, _ = Slots(4096).of(["\u9000", "\u8d27", "\u5417"])
    table[pair] = 100
    weights = Weights(bias=0, features={}, scale=0.1, table=table)
    assert score("\u9000\u8d27\u5417", weights) > 90
    assert score("\u8d27\u9000\u5417", weights) == pytest.approx(50)


@pytest.mark.parametrize("phrase", ["\u4e00\u5171", "\u6253\u6298", "\u4e3a\u4ec0\u4e48", "\u7ffb\u8bd1"])
def test_a_sign_of_work_in_chinese_raises_the_score(phrase: str) -> None:
    with_sign, without = f"\u8bf7\u95ee{phrase}\u5462", "\u8bf7\u95ee" + "\u5462" * (len(phrase) + 1)
    assert len(with_sign) == len(without)
    assert score(with_sign) > score(without) + 10


def test_slots_are_the_same_in_every_process() -> None:
    assert Slots(1 << 15).of(["total", "\u4f60", "total"]) == [24926, 21107, 24926, 14153, 4188]


def test_ever_new_words_take_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("autoglm_gateway.score._REMEMBERED_WORDS", 100)
    slots, fresh = Slots(4096), Slots(4096)
    for number in range(1000):
        words = [f"word{number}", f"w{number}"]
        assert slots.of(words) == fresh.of(words)
    assert len(slots.first) <= 100
    assert len(slots.second) <= 100


def test_lone_surrogates_are_no_error() -> None:
    assert 0 < score("\ud800 total \udfff") < 100


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"bias": "x"}, "bias: Input should be a valid number"),
        ({"features": {"magic": 1}}, "no such feature: magic"),
        ({"table": [1, 2, 3]}, "a table has a power of two of slots"),
        ({"table": [128, 0]}, "table.0: Input should be less than or equal to 127"),
        ({"version": 2}, "version: Input should be 1"),
        ({"words": {}}, "words: Extra inputs are not permitted"),
        ({"scale": 1e300}, "scale: Input should be less than or equal to 1000000"),
    ],
)
def test_broken_weights_say_why(change: dict[str, object], sentence: str) -> None:
    body = {"version": 1, "bias": 0, "features": {}} | change
    with pytest.raises(BrokenWeightsError, match=sentence):
        parse_weights(json.dumps(body))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"bias": NaN, "features": {}}', " " * 1_000_000])
def test_what_is_no_json_object_is_broken(text: str) -> None:
    with pytest.raises(BrokenWeightsError):
        parse_weights(text)


def test_the_shipped_weights_know_no_words() -> None:
    assert DEFAULT.table == []
    assert set(DEFAULT.features) < set(Features._fields)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("\u4f60 12 \uff11\uff12", 2),
        ("\u4f60 \u0661\u0662 \u06f3 \u0967", 3),
        ("\u4f60 1,000.5 \u548c 2", 2),
        ("\u4f60 \u4e09", 0),
        ("\u00fc .5,", 1),
    ],
)
def test_numbers_in_other_scripts(text: str, numbers: int) -> None:
    assert see(asked(text)).features.numbers == pytest.approx(log(1 + numbers))
