from random import Random

import pytest

from autoglm_demo.curve import Curve, Knot, flash_sale

RAMP = Curve(Knot(0, 0), Knot(10, 20), Knot(20, 20), Knot(30, 0))


@pytest.mark.parametrize(
    "knots",
    [
        pytest.param([Knot(0, 1)], id="one knot"),
        pytest.param([Knot(1, 1), Knot(2, 1)], id="does not start at 0"),
        pytest.param([Knot(0, 1), Knot(2, 1), Knot(2, 3)], id="times do not increase"),
        pytest.param([Knot(0, 1), Knot(2, -1)], id="negative rate"),
    ],
)
def test_a_curve_that_makes_no_sense_is_refused(knots: list[Knot]) -> None:
    with pytest.raises(ValueError, match=r"curve|rate"):
        Curve(*knots)


@pytest.mark.parametrize(("at", "rate"), [(-1, 0), (0, 0), (5, 10), (10, 20), (15, 20), (25, 10), (30, 0), (31, 0)])
def test_rate_is_linear_between_knots_and_zero_outside(at: float, rate: float) -> None:
    assert RAMP.rate(at) == pytest.approx(rate)


def test_expected_is_the_area() -> None:
    assert RAMP.expected == pytest.approx(400)
    assert (RAMP.seconds, RAMP.peak) == (30, 20)


def test_arrivals_are_ordered_and_repeatable() -> None:
    arrivals = list(RAMP.arrivals(Random(1)))
    assert arrivals == sorted(arrivals) == list(RAMP.arrivals(Random(1)))
    assert 0 <= arrivals[0] < arrivals[-1] <= RAMP.seconds


def test_arrivals_follow_the_rate() -> None:
    arrivals = [at for seed in range(30) for at in RAMP.arrivals(Random(seed))]
    for start in range(0, 30, 5):
        seen = sum(start <= at < start + 5 for at in arrivals) / 30
        meant = (RAMP.rate(start) + RAMP.rate(start + 5)) / 2 * 5
        assert seen == pytest.approx(meant, rel=0.1)


def test_no_arrivals_where_the_rate_is_zero() -> None:
    quiet = Curve(Knot(0, 0), Knot(10, 0), Knot(11, 50))
    assert all(at >= 10 for at in quiet.arrivals(Random(3)))


def test_the_flash_sale_is_calm_then_crowded_then_calm() -> None:
    curve = flash_sale(200)
    assert curve.peak == 200
    assert curve.rate(0) == curve.rate(curve.seconds) == pytest.approx(12)
    assert curve.rate(40) == 200
    assert flash_sale(200, scale=0.5).seconds == curve.seconds / 2
