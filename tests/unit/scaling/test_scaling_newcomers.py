"""What starts is known by when it was asked for."""

from datetime import UTC, datetime, timedelta

from autoglm_operator.scaling.newcomers import MOST, Batch, followed, soon

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_what_starts_beyond_the_known_was_asked_for_now() -> None:
    first = followed((), 0, 3, at(0))
    assert followed(first, 0, 5, at(10)) == (Batch(at(0), 3), Batch(at(10), 2))


def test_the_oldest_become_ready_first() -> None:
    known = (Batch(at(0), 3), Batch(at(10), 2))
    assert followed(known, 2, 3, at(60)) == (Batch(at(0), 1), Batch(at(10), 2))
    assert followed(known, 4, 1, at(60)) == (Batch(at(10), 1),)
    assert followed(known, 5, 4, at(60)) == (Batch(at(60), 4),)


def test_the_newest_are_taken_back_first() -> None:
    assert followed((Batch(at(0), 3), Batch(at(10), 2)), 0, 2, at(20)) == (Batch(at(0), 2),)
    assert followed((Batch(at(0), 3),), 0, 0, at(20)) == ()


def test_a_replica_counts_by_how_long_it_has_been_starting() -> None:
    batches = (Batch(at(0), 4), Batch(at(90), 4))
    assert soon(batches, 120, at(90)) == 3.0
    assert soon(batches, 120, at(300)) == 8.0  # late ones are awaited at any moment
    assert soon(batches, 120, at(-50)) == 0.0  # a clock that was set back
    assert soon(batches, 0, at(90)) == 8.0


def test_only_so_many_batches_are_kept_and_none_is_lost() -> None:
    known: tuple[Batch, ...] = ()
    for second in range(3 * MOST):
        known = followed(known, 0, second + 1, at(second))
    assert len(known) == MOST
    assert sum(batch.size for batch in known) == 3 * MOST
