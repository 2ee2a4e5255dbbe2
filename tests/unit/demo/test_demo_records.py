import pytest

from autoglm_demo.records import Record, failures, latency, quantile, tallies
from autoglm_demo.series import Bins, bins_for, per_second, quantiles, split_by
from autoglm_shop.task import Kind


def answer(
    kind: Kind = Kind.SIMPLE, pool: str = "light", *, sent: float = 0, took: float = 1, right: bool = True
) -> Record:
    return Record(kind, sent=sent, done=sent + took, status=200, pool=pool, correct=right)


REFUSED = Record(Kind.SIMPLE, sent=0, done=1, status=429)
LOST = Record(Kind.SIMPLE, sent=0, done=1, error="the connection ended before the answer")
CUT = Record(Kind.COMPLEX, sent=0, done=1, status=200, error="the stream has no last event", streamed=True)


@pytest.mark.parametrize(("record", "answered"), [(answer(), True), (REFUSED, False), (LOST, False), (CUT, False)])
def test_only_whole_answers_count_as_answered(record: Record, *, answered: bool) -> None:
    assert record.answered is answered


@pytest.mark.parametrize(
    ("share", "value"), [(0.0, 1.0), (0.5, 5.0), (0.51, 6.0), (0.95, 10.0), (0.1, 1.0), (1.0, 10.0)]
)
def test_quantile_is_the_nearest_rank(share: float, value: float) -> None:
    assert quantile([float(n) for n in range(1, 11)], share) == value


def test_quantile_of_nothing_is_zero() -> None:
    assert quantile([], 0.5) == 0.0


def test_latency_leaves_failures_out() -> None:
    seen = latency([answer(took=2), answer(took=4), LOST, REFUSED])
    assert (seen.p50, seen.longest) == (2, 4)


def test_tallies_count_by_kind_and_pool() -> None:
    rows = tallies([answer(), answer(right=False), answer(Kind.COMPLEX, "large"), answer(Kind.COMPLEX), LOST])
    assert [(row.kind, row.pool, row.answered, row.correct, row.percent_correct) for row in rows] == [
        (Kind.COMPLEX, "large", 1, 1, 100),
        (Kind.COMPLEX, "light", 1, 1, 100),
        (Kind.SIMPLE, "light", 2, 1, 50),
    ]


def test_failures_are_counted_by_what_was_seen() -> None:
    assert failures([answer(), REFUSED, REFUSED, CUT]) == {"status 429": 2, "the stream has no last event": 1}


@pytest.mark.parametrize(("last", "seconds"), [(0, 1), (30, 1), (60, 1), (61, 2), (300, 6)])
def test_bins_cover_the_phase(last: float, seconds: float) -> None:
    bins = bins_for(last)
    assert bins.seconds == seconds
    assert bins.count <= 61
    assert bins.count * bins.seconds > last
    assert bins.middles[0] == seconds / 2


def test_rates_and_latencies_over_time() -> None:
    bins = Bins(2.0, 3)
    assert per_second([0, 1.9, 2, 99], bins) == [1.0, 0.5, 0.5]
    records = [answer(sent=0, took=1), answer(sent=1, took=3), answer(sent=5, took=2), LOST]
    assert quantiles(records, bins, 0.5) == [1, None, 2]


def test_records_without_a_key_are_left_out() -> None:
    groups = split_by([answer(), answer(pool="large"), LOST], lambda record: record.pool)
    assert {name: len(group) for name, group in groups.items()} == {"large": 1, "light": 1}
