import queue
import threading

import pytest

from autoglm_node.engine.own_thread import OwnThread, arrived


def test_all_that_waits_is_taken_and_nothing_is_waited_for_without_need() -> None:
    waiting = queue.SimpleQueue[int]()
    assert list(arrived(waiting, 0)) == []
    for number in (1, 2, 3):
        waiting.put(number)
    assert list(arrived(waiting, 60)) == [1, 2, 3]
    assert list(arrived(waiting, 0.001)) == []


def test_what_comes_while_the_first_is_taken_in_comes_along() -> None:
    waiting = queue.SimpleQueue[int]()
    waiting.put(1)
    taken = arrived(waiting, 1)
    assert next(taken) == 1
    waiting.put(2)
    assert list(taken) == [2]


def test_rounds_follow_each_other_until_it_is_stopped() -> None:
    rounds, told = queue.SimpleQueue[str](), list[str]()
    thread = OwnThread("engine", lambda: rounds.put(threading.current_thread().name), told.append)
    assert [rounds.get(timeout=5) for _ in range(3)] == ["engine"] * 3
    thread.stop()
    assert not [one for one in threading.enumerate() if one.name == "engine"]
    assert told == []


def test_a_failed_round_is_told_to_the_clients_before_the_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    order, ended = list[str](), threading.Event()

    def leave(status: int) -> None:
        order.append(f"exit {status}")
        ended.set()

    def fail() -> None:
        raise ValueError("no slot")

    monkeypatch.setattr("os._exit", leave)
    OwnThread("engine", fail, order.append)
    assert ended.wait(5)
    assert order == ["the engine failed: no slot", "exit 1"]
