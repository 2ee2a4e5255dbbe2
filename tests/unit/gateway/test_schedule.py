import time

from autoglm_gateway.schedule import WaitingLine


def test_first_come_first_served() -> None:
    line: WaitingLine[str] = WaitingLine()
    for item in "abc":
        line.join(item, deadline=10)
    assert [line.next(0) for _ in range(4)] == ["a", "b", "c", None]


def test_one_that_was_sent_back_goes_first() -> None:
    line: WaitingLine[str] = WaitingLine()
    line.join("a", deadline=10)
    line.join("b", deadline=10, front=True)
    assert [line.next(0), line.next(0)] == ["b", "a"]


def test_places_can_be_given_up_once() -> None:
    line: WaitingLine[str] = WaitingLine()
    tickets = [line.join(item, deadline=10) for item in "abc"]
    line.leave(tickets[1])
    line.leave(tickets[1])
    assert (len(line), line.next(0), line.next(0), len(line)) == (2, "a", "c", 0)
    line.leave(tickets[0])
    assert len(line) == 0


def test_nobody_is_served_after_the_deadline() -> None:
    line: WaitingLine[str] = WaitingLine()
    line.join("late", deadline=5)
    line.join("fine", deadline=10)
    assert line.next(5) == "fine"
    assert (line.expired(4.9), line.expired(5), len(line)) == ([], ["late"], 0)


def test_clear_returns_everything() -> None:
    line: WaitingLine[str] = WaitingLine()
    line.join("a", deadline=1)
    line.join("b", deadline=2)
    assert (line.clear(), len(line)) == (["a", "b"], 0)


def test_a_crowd_that_leaves_at_once_does_not_hold_up_the_rest() -> None:
    line: WaitingLine[int] = WaitingLine()
    tickets = [line.join(number, deadline=10) for number in range(30_000)]
    start = time.perf_counter()
    for ticket in reversed(tickets):
        line.leave(ticket)
    assert (len(line), time.perf_counter() - start < 0.5) == (0, True)
