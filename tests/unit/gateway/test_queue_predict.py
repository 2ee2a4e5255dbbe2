"""Predicted lengths: the ladder, the cap, and the judgement of the predictions."""

import pytest

from autoglm_gateway.queueing.predict import Asked, Predictor, kendall_tau


def taught(*answers: tuple[Asked, int]) -> Predictor:
    predictor = Predictor(unknown=100.0)
    for asked, tokens in answers:
        predictor.saw(asked, predictor.predict(asked), tokens)
    return predictor


def asked(tenant: str = "t", template: str = "", prompt: int = 100, most: int = 0) -> Asked:
    return Asked(tenant, template, prompt, most)


def test_nothing_known_is_the_given_guess_and_never_above_the_cap() -> None:
    predictor = Predictor(unknown=100.0)
    assert (predictor.predict(asked()), predictor.predict(asked(most=7))) == (100.0, 7)


def test_a_known_template_counts_most() -> None:
    predictor = taught(*[(asked(template="list"), 500)] * 8, *[(asked(template="yes or no"), 2)] * 8)
    assert predictor.predict(asked(template="list")) == pytest.approx(500)
    assert predictor.predict(asked(template="yes or no")) == pytest.approx(2)


def test_a_template_of_another_tenant_says_nothing() -> None:
    predictor = taught(*[(asked("a", "x"), 500)] * 8, *[(asked("b", "y"), 10)] * 8)
    assert predictor.predict(asked("b", "x")) < 100


def test_longer_prompts_with_longer_answers_are_learned() -> None:
    answers = [(asked(template=str(size), prompt=size), 10 * size) for size in (10, 20, 40, 80, 160) for _ in range(8)]
    predictor = taught(*answers)
    short, long = (predictor.predict(asked(template="new", prompt=size)) for size in (15, 150))
    assert short < long


def test_a_tenant_with_long_answers_is_known() -> None:
    predictor = taught(
        *[(asked("brief", str(n)), 10) for n in range(20)], *[(asked("wordy", str(n)), 400) for n in range(20)]
    )
    assert predictor.predict(asked("wordy", "new")) > 3 * predictor.predict(asked("brief", "new"))


def test_one_odd_answer_does_not_move_a_template() -> None:
    predictor = taught(*[(asked(template="list"), 50)] * 9, (asked(template="list"), 4000))
    assert predictor.predict(asked(template="list")) == 50


def test_only_the_last_answers_of_a_template_count() -> None:
    predictor = taught(*[(asked(template="list"), 500)] * 40, *[(asked(template="list"), 20)] * 20)
    assert predictor.predict(asked(template="list")) == 20


def test_before_the_words_are_known_a_tenant_counts_then_everybody() -> None:
    predictor = taught(*[(asked("brief", str(n)), 10) for n in range(5)], *[(asked("wordy", "x"), 400)] * 6)
    assert predictor.predict(asked("brief", "new")) == 10
    assert predictor.predict(asked("nobody", "new")) == 400


def test_a_question_on_a_new_subject_is_known_by_its_words() -> None:
    predictor = Predictor()
    for number in range(40):
        for start, tokens in (("Write an essay about", 600), ("Yes or no: is there", 3)):
            question = Asked("t", f"{number}{start}", 12, text=f"{start} subject{number}")
            predictor.saw(question, predictor.predict(question), tokens)
    essay, word = (
        predictor.predict(Asked("t", "new", 12, text=f"{start} harbours"))
        for start in ("Write an essay about", "Yes or no: is there")
    )
    assert essay > 10 * word
    assert predictor.predict(Asked("t", "new", 12, 5, "Write an essay about harbours")) == 5


def test_predictions_that_rank_nothing_are_not_trusted() -> None:
    predictor = Predictor()
    assert predictor.trusted
    for number in range(64):
        predictor.saw(asked(), predicted=number % 7, tokens=(number * 37) % 101)
    assert not predictor.trusted
    for number in range(64):
        predictor.saw(asked(), predicted=number, tokens=number * 2)
    assert (predictor.trusted, predictor.tau) == (True, 1.0)


def test_memory_is_bounded() -> None:
    predictor = taught(*[(asked(str(n), str(n)), 5) for n in range(5_000)])
    assert (len(predictor._templates), len(predictor._tenants)) == (4096, 4096)


@pytest.mark.parametrize(
    ("pairs", "tau"),
    [([], 0.0), ([(1, 1)], 0.0), ([(1, 5), (1, 6)], 0.0), ([(1, 1), (2, 3), (3, 2)], 1 / 3), ([(1, 2), (2, 1)], -1.0)],
)
def test_kendall_s_tau(pairs: list[tuple[float, float]], tau: float) -> None:
    assert kendall_tau(pairs) == pytest.approx(tau)
