import numpy as np
import pytest

from autoglm_node.engine.sampling import Chooser, StepScores, likeliest, log_softmax, pick
from autoglm_node.sampling import GREEDY, Sampling


def test_log_softmax_of_large_scores_is_normalised() -> None:
    logprobs = log_softmax(np.array([[1000.0, 1001.0], [-5.0, -5.0]], dtype=np.float32))
    assert np.exp(logprobs).sum(axis=1) == pytest.approx([1.0, 1.0])
    assert logprobs[0, 1] == pytest.approx(-0.31326, abs=1e-4)


def test_scores_of_a_step_are_those_of_each_row_alone() -> None:
    scores = np.random.default_rng(4).normal(0, 5, (3, 50)).astype(np.float32)
    step, rows = StepScores(scores), log_softmax(scores)
    for row, logprobs in enumerate(rows):
        assert step.logprobs(row) == pytest.approx(logprobs, abs=1e-5)
        token, logprob = step.likeliest(row)
        assert token == int(logprobs.argmax())
        assert logprob == pytest.approx(float(logprobs.max()), abs=1e-5)


def test_scores_that_would_overflow_are_drawn_from_like_others() -> None:
    token, logprob = StepScores(np.array([[1000.0, 1001.0]], np.float32)).likeliest(0)
    assert token == 1
    assert logprob == pytest.approx(-0.31326, abs=1e-4)


@pytest.mark.parametrize(
    ("sampling", "plain"),
    [(GREEDY, True), (Sampling(0.5), False), (Sampling(presence_penalty=1.0), False), (Sampling(top_k=3), True)],
)
def test_only_unpenalised_greedy_replies_take_the_likeliest(sampling: Sampling, *, plain: bool) -> None:
    assert Chooser(sampling).takes_the_likeliest is plain


def test_temperature_zero_takes_the_likeliest() -> None:
    rng = np.random.default_rng(0)
    assert pick(np.log(np.array([0.2, 0.5, 0.3], dtype=np.float32)), GREEDY, rng) == 1


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.8), (2.0, 2 / 3), (0.5, 16 / 17)])
def test_draws_follow_the_tempered_distribution(temperature: float, share: float) -> None:
    rng = np.random.default_rng(1)
    logprobs = np.log(np.array([0.2, 0.8], dtype=np.float32))
    draws = [pick(logprobs, Sampling(temperature), rng) for _ in range(4000)]
    assert np.mean(draws) == pytest.approx(share, abs=0.03)


def test_an_impossible_token_is_never_drawn() -> None:
    rng = np.random.default_rng(2)
    logprobs = np.array([-np.inf, 0.0, -np.inf], dtype=np.float32)
    assert {pick(logprobs, Sampling(1.0), rng) for _ in range(200)} == {1}


def test_a_very_low_temperature_takes_the_likeliest() -> None:
    logprobs = np.log(np.array([0.3, 0.4, 0.3], dtype=np.float32))
    assert pick(logprobs, Sampling(1e-9), np.random.default_rng(3)) == 1


@pytest.mark.parametrize(
    ("asked", "possible"),
    [
        ({}, {0, 1, 2, 3}),
        ({"top_k": 2}, {1, 2}),
        ({"top_k": 9}, {0, 1, 2, 3}),
        ({"top_p": 0.0}, {1}),
        ({"top_p": 0.5}, {1}),
        ({"top_p": 0.51}, {1, 2}),
        ({"top_p": 0.9, "top_k": 1}, {1}),
        ({"min_p": 0.3}, {1, 2}),
        ({"min_p": 1.0}, {1}),
        ({"min_p": 0.3, "top_p": 0.99}, {1, 2}),
    ],
)
def test_draws_stay_within_what_is_left(asked: dict[str, float], possible: set[int]) -> None:
    logprobs = np.log(np.array([0.14, 0.5, 0.3, 0.06], dtype=np.float32))
    rng = np.random.default_rng(4)
    assert {pick(logprobs, Sampling(1.0, **asked), rng) for _ in range(300)} == possible  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("presence", "frequency", "tokens"),
    [
        (0.0, 0.0, [0, 0, 0, 0, 0]),
        (1.5, 0.0, [0, 1, 0, 0, 0]),  # once: the second of them is lowered as far as the first
        (0.0, 1.5, [0, 1, 0, 1, 0]),
        (-2.0, 0.0, [0, 0, 0, 0, 0]),
    ],
)
def test_penalties_count_the_reply_so_far(presence: float, frequency: float, tokens: list[int]) -> None:
    chooser = Chooser(Sampling(presence_penalty=presence, frequency_penalty=frequency))
    scores = np.array([0.0, -1.0, -9.0], dtype=np.float32)
    assert [chooser.choose(scores) for _ in tokens] == tokens
    assert scores.tolist() == [0.0, -1.0, -9.0]


def test_the_likeliest_come_in_order() -> None:
    scores = np.array([-3.0, -1.0, -2.0, -4.0], dtype=np.float32)
    assert likeliest(scores, 0) == ()
    assert likeliest(scores, 2) == ((1, -1.0), (2, -2.0))
    assert [token for token, _ in likeliest(scores, 9)] == [1, 2, 0, 3]
