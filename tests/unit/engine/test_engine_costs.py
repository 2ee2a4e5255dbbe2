"""What steps cost, learnt from steps whose costs are known."""

import numpy as np
import pytest

from autoglm_node.engine.costs import StepCosts, Work

DECODE, ROW, HELD, PACK, TOKEN = 2e-3, 0.5e-3, 1e-6, 3e-3, 0.2e-3


def seconds(work: Work) -> float:
    decode = DECODE + ROW * work.replies + HELD * work.held_tokens if work.replies else 0.0
    return decode + PACK * work.packs + TOKEN * work.prompt_tokens


def steps(count: int, seed: int = 1) -> list[Work]:
    rng = np.random.default_rng(seed)
    drawn = zip(rng.integers(0, 33, count), rng.integers(0, 3, count), rng.random(count), strict=True)
    return [
        Work(int(replies), int(replies * 300 * share), int(packs), int(packs * 10 * (1 + 9 * share)))
        for replies, packs, share in drawn
    ]


def learnt(count: int, speed: float = 1.0) -> StepCosts:
    costs = StepCosts()
    for work in steps(count):
        costs.learn(work, speed * seconds(work))
    return costs


def test_nothing_is_known_at_first() -> None:
    assert StepCosts().decode(8, 100) == 0
    assert not learnt(3).known


def test_costs_are_those_of_the_steps() -> None:
    costs = learnt(320)
    assert costs.known
    assert costs.decode(8, 1000) == pytest.approx(DECODE + 8 * ROW + 1000 * HELD, rel=0.2)
    assert costs.token == pytest.approx(TOKEN, rel=0.4)
    pack = costs.pack + 50 * costs.token
    assert pack == pytest.approx(PACK + 50 * TOKEN, rel=0.3)
    assert costs.row(0) == pytest.approx(ROW, rel=0.4)


def test_no_replies_take_no_time() -> None:
    assert learnt(320).decode(0, 0) == 0


@pytest.mark.parametrize("factor", [0.5, 3.0])
def test_a_machine_that_changes_its_speed_is_noticed_within_twenty_steps(factor: float) -> None:
    costs = learnt(320)
    for work in steps(20, seed=2):
        if any(work):
            costs.learn(work, factor * seconds(work))
    assert costs.decode(8, 1000) == pytest.approx(factor * (DECODE + 8 * ROW + 1000 * HELD), rel=0.25)


def test_one_interrupted_step_changes_little() -> None:
    costs = learnt(320)
    before = costs.decode(8, 1000)
    costs.learn(steps(1, seed=3)[0], 60.0)
    assert costs.decode(8, 1000) < 2 * before


def test_what_never_varies_predicts_itself() -> None:
    costs, same = StepCosts(), Work(8, 2000, 0, 0)
    for _ in range(100):
        costs.learn(same, 0.010)
    assert costs.decode(8, 2000) == pytest.approx(0.010, rel=0.05)


def test_a_long_step_of_one_kind_says_little_about_the_others() -> None:
    costs = learnt(320)
    token, decode = costs.token, costs.decode(8, 1000)
    for _ in range(5):
        costs.learn(Work(8, 1000, 0, 0), 2 * decode)
    assert costs.decode(8, 1000) > 1.5 * decode
    assert costs.token < 1.3 * token


def test_noise_makes_no_cost_negative() -> None:
    costs, rng = StepCosts(), np.random.default_rng(4)
    for work in steps(320):
        costs.learn(work, float(rng.exponential(0.005)))
    assert min(costs.token, costs.pack, costs.row(0), costs.decode(1, 0)) >= 0
