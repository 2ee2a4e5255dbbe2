"""Lengths told by the words of a question."""

from random import Random

import pytest

from autoglm_gateway.queueing.lexicon import Clue, Lexicon
from autoglm_gateway.queueing.predict import kendall_tau

KINDS = {"list all facts about": 300, "define": 40, "yes or no is it": 4, "\u8bf7\u5199\u4e00\u7bc7": 800}


def taught(*answers: tuple[str, str, int, int]) -> Lexicon:
    """A model that saw answers: question, tenant, prompt's tokens, answer's tokens."""
    model = Lexicon()
    for text, tenant, prompt, tokens in answers:
        model.saw(model.clue(text, tenant, prompt), tokens)
    return model


def test_new_subjects_are_ranked_by_what_is_asked_of_them() -> None:
    rng = Random(3)

    def drawn() -> tuple[str, str, int, int]:
        start = rng.choice(sorted(KINDS))
        return (
            f"{start} thing{rng.random()}",
            "t",
            rng.randint(8, 12),
            max(1, round(rng.lognormvariate(0, 0.4) * KINDS[start])),
        )

    model = taught(*(drawn() for _ in range(300)))
    fresh = [drawn() for _ in range(60)]
    pairs = [(model.predict(model.clue(text, tenant, prompt)), float(tokens)) for text, tenant, prompt, tokens in fresh]
    assert kendall_tau(pairs) > 0.6


@pytest.mark.parametrize(("of", "longer"), [((10, 1000), True), ((1000, 10), False)])
def test_the_prompt_s_length_counts_as_it_was_seen_to(of: tuple[int, int], *, longer: bool) -> None:
    model = taught(*[("a", "t", 10, of[0]), ("a", "t", 1000, of[1])] * 20)
    short, long = (model.predict(model.clue("b", "t", prompt)) for prompt in (10, 1000))
    assert (long > short) is longer


def test_a_tenant_of_long_answers_is_known() -> None:
    both = (("wordy", 500), ("brief", 5))
    model = taught(*[(f"q{number}", tenant, 10, tokens) for number in range(30) for tenant, tokens in both])
    assert model.predict(model.clue("new", "wordy", 10)) > 5 * model.predict(model.clue("new", "brief", 10))


def test_what_changes_is_learned_anew() -> None:
    model = taught(*[("list", "t", 10, 500)] * 100, *[("list", "t", 10, 5)] * 100)
    assert model.predict(model.clue("list", "t", 10)) == pytest.approx(5, abs=1)


def test_only_the_ends_of_a_long_question_are_looked_at() -> None:
    model = Lexicon()
    clue = model.clue("first " + "middle " * 100_000 + "last", "t", 10)
    assert len(clue.words) < 100
    assert set(model.clue("first", "t", 10).words) | set(model.clue("last", "t", 10).words) <= set(clue.words)


def test_of_a_chinese_question_no_more_words_are_looked_at_than_of_an_english_one() -> None:
    model = Lexicon()
    first, middle, last = ("".join(map(chr, range(start, start + 48))) for start in (0x4E00, 0x5E00, 0x6E00))
    clue = model.clue(first + middle + last, "t", 10)
    assert len(clue.words) == 2 * (48 + 32) - 1
    assert set(model.clue(first, "t", 10).words) | set(model.clue(last[-32:], "t", 10).words) <= set(clue.words)


@pytest.mark.parametrize("text", ["", "\ud800", "123 !?", "\u4f60\u597d"])
@pytest.mark.parametrize("tokens", [0, 1, 10**9])
def test_whatever_comes_a_prediction_is_a_length(text: str, tokens: int) -> None:
    model = taught(*[(text, "", 0, tokens)] * 50)
    assert 0 <= model.predict(model.clue(text, "", 10**9)) < 200_000


def test_nothing_known_predicts_nothing() -> None:
    assert Lexicon().predict(Clue(2.0, 1, [])) == 0
