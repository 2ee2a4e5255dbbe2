import numpy as np
import pytest

from autoglm_node.engine.sampling import log_softmax, pick


def test_log_softmax_of_large_scores_is_normalised() -> None:
    logprobs = log_softmax(np.array([[1000.0, 1001.0], [-5.0, -5.0]], dtype=np.float32))
    assert np.exp(logprobs).sum(axis=1) == pytest.approx([1.0, 1.0])
    assert logprobs[0, 1] == pytest.approx(-0.31326, abs=1e-4)


def test_temperature_zero_takes_the_likeliest() -> None:
    rng = np.random.default_rng(0)
    assert pick(np.log(np.array([0.2, 0.5, 0.3], dtype=np.float32)), 0.0, rng) == 1


@pytest.mark.parametrize(("temperature", "share"), [(1.0, 0.8), (2.0, 2 / 3), (0.5, 16 / 17)])
def test_draws_follow_the_tempered_distribution(temperature: float, share: float) -> None:
    rng = np.random.default_rng(1)
    logprobs = np.log(np.array([0.2, 0.8], dtype=np.float32))
    draws = [pick(logprobs, temperature, rng) for _ in range(4000)]
    assert np.mean(draws) == pytest.approx(share, abs=0.03)


def test_an_impossible_token_is_never_drawn() -> None:
    rng = np.random.default_rng(2)
    logprobs = np.array([-np.inf, 0.0, -np.inf], dtype=np.float32)
    assert {pick(logprobs, 1.0, rng) for _ in range(200)} == {1}


def test_a_very_low_temperature_takes_the_likeliest() -> None:
    logprobs = np.log(np.array([0.3, 0.4, 0.3], dtype=np.float32))
    assert pick(logprobs, 1e-9, np.random.default_rng(3)) == 1
