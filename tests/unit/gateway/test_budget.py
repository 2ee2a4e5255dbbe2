import pytest

from autoglm_gateway.budget import Budget


def after(queries: int, complex_ones: int, score: float = 60.0) -> Budget:
    budget = Budget()
    for number in range(queries):
        budget.count(score, 0.0, is_complex=number < complex_ones)
    return budget


@pytest.mark.parametrize(
    ("complex_ones", "score", "admitted"),
    [
        (31, 100.0, False),  # at the ceiling
        (30, 61.0, True),  # the best of the hour, and the grace of one query
        (30, 60.0, True),  # none scored higher
        (10, 50.0, True),  # far below the ceiling: everything
    ],
)
def test_what_is_let_through_under_a_ceiling_of_30_percent(complex_ones: int, score: float, *, admitted: bool) -> None:
    assert after(100, complex_ones).admits(score, 0.3, 1.0) is admitted


def test_near_the_ceiling_only_the_best_scores_pass() -> None:
    budget = after(1000, 300)
    assert budget.admits(60.0, 0.3, 1.0)
    assert not budget.admits(50.0, 0.3, 1.0)


def test_a_ceiling_of_nothing_and_of_everything() -> None:
    assert not Budget().admits(100.0, 0.0, 0.0)
    assert after(10, 10).admits(0.0, 1.0, 0.0)


def test_the_first_query_of_a_quiet_service_may_be_complex() -> None:
    assert Budget().admits(60.0, 0.05, 0.0)


def test_an_hour_later_everything_is_forgotten() -> None:
    budget = after(100, 100)
    assert budget.share(3569.0) == 1.0
    assert budget.share(3601.0) == 0.0


def test_a_query_that_spills_over_counts() -> None:
    budget = after(10, 1)
    budget.turn_complex(1.0)
    assert budget.share(1.0) == 0.2
