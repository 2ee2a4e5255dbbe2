import pytest

from autoglm_gateway.admit import DrainRate, retry_after


@pytest.mark.parametrize(
    ("waiting", "limit", "rate", "seconds"),
    [
        (0, 1, 0.0, None),
        (9, 10, 5.0, None),
        (10, 10, 0.0, 5),
        (10, 10, 5.0, 2),
        (10, 10, 1000.0, 1),
        (10, 10, 0.01, 60),
        (10, 10, 1e-310, 60),
        (0, 0, 0.0, 5),
    ],
)
def test_retry_after(waiting: int, limit: int, rate: float, seconds: int | None) -> None:
    assert retry_after(waiting, limit, rate) == seconds


def test_the_drain_rate_follows_and_forgets() -> None:
    rate = DrainRate()
    assert rate.per_second(100.0) == 0.0
    for tick in range(600):
        rate.record(tick / 10)
    assert rate.per_second(60.0) == pytest.approx(10.0, rel=0.05)
    assert rate.per_second(160.0) < 0.01
