import pytest

from autoglm_node.engine.adaptive import LEAST_TOKENS, StepTokens

MOST, PAUSE = 512, 0.010


@pytest.mark.parametrize(("running", "tokens"), [(0, MOST), (1, 100), (9, 100)])
def test_a_step_reads_what_fits_in_the_pause(running: int, tokens: int) -> None:
    steps = StepTokens(MOST, PAUSE)
    steps.learn(200, 0.02)
    assert steps.choose(running) == tokens


def test_what_is_not_known_yet_bounds_nothing() -> None:
    steps = StepTokens(MOST, PAUSE)
    steps.learn(3, 10.0)
    assert steps.choose(5) == MOST


def test_bounds_hold_at_any_speed() -> None:
    for seconds, expected in ((1e-9, MOST), (1e3, LEAST_TOKENS)):
        steps = StepTokens(MOST, PAUSE)
        steps.learn(100, seconds)
        assert steps.choose(1) == expected


def test_a_slower_machine_is_noticed_within_some_steps() -> None:
    steps = StepTokens(MOST, PAUSE)
    for seconds in [0.01] + [0.04] * 12:
        steps.learn(100, seconds)
    assert steps.choose(1) == pytest.approx(25, abs=4)
