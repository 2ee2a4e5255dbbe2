import asyncio
import itertools
from collections.abc import Callable

import pytest

from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.shell import work_queue
from autoglm_operator.shell.work_queue import Again, Result, WorkQueue

ONE, TWO = ObjectKey("ns", "one"), ObjectKey("ns", "two")
BACKOFF_SECONDS = 0.1
LATER, RETRY, NEVER = Result(Again.LATER), Result(Again.RETRY), Result(Again.NEVER)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "_FIRST_BACKOFF_SECONDS", BACKOFF_SECONDS)
    monkeypatch.setattr(work_queue, "_GATHER_SECONDS", 0.01)


class Work:
    """Work that notes when it ran and answers from a script; the last answer repeats."""

    def __init__(self, *answers: Result | Exception, seconds: float = 0.0) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.starts: list[tuple[ObjectKey, float]] = []
        self.running = self.most_running = 0

    async def __call__(self, key: ObjectKey) -> Result:
        self.starts.append((key, asyncio.get_running_loop().time()))
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(self.seconds)
        self.running -= 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pauses(self) -> list[float]:
        """Return the seconds between starts."""
        times = [at for _, at in self.starts]
        return [after - before for before, after in itertools.pairwise(times)]


def _queue(work: Work, resync_seconds: float = 60.0) -> WorkQueue:
    return WorkQueue(work, resync_seconds, pick=lambda _low, high: high)


async def _until(holds: Callable[[], object]) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.005)
    raise TimeoutError


async def test_many_wakes_make_one_reconcile() -> None:
    work = Work(LATER)
    queue = _queue(work)
    for _ in range(100):
        queue.wake(ONE)
    await asyncio.sleep(0.05)
    assert len(work.starts) == 1
    await queue.close()


async def test_a_wake_while_it_runs_makes_one_more_afterwards() -> None:
    work = Work(LATER, seconds=0.05)
    queue = _queue(work)
    queue.wake(ONE, 0)
    await _until(lambda: work.running)
    for _ in range(5):
        queue.wake(ONE)
    await asyncio.sleep(0.2)
    assert (len(work.starts), work.most_running) == (2, 1)
    await queue.close()


async def test_keys_do_not_wait_for_each_other() -> None:
    work = Work(LATER, seconds=0.05)
    queue = _queue(work)
    queue.wake(ONE, 0)
    queue.wake(TWO, 0)
    await _until(lambda: len(work.starts) == 2)
    assert work.most_running == 2
    await queue.close()


async def test_failures_back_off_and_do_not_stop_the_queue(caplog: pytest.LogCaptureFixture) -> None:
    work = Work(RuntimeError("poison"), RETRY, LATER)
    queue = _queue(work)
    queue.wake(ONE, 0)
    await _until(lambda: len(work.starts) == 3)
    first, second = work.pauses()
    assert first >= BACKOFF_SECONDS
    assert second >= 2 * BACKOFF_SECONDS
    assert "poison" in caplog.text
    await queue.close()


async def test_a_wake_does_not_shorten_the_pause_that_a_failure_earned_while_it_ran() -> None:
    work = Work(RETRY, LATER, seconds=0.03)
    queue = _queue(work)
    queue.wake(ONE, 0)
    await _until(lambda: work.running)
    queue.wake(ONE)
    await _until(lambda: len(work.starts) == 2)
    assert work.pauses()[0] >= BACKOFF_SECONDS
    await queue.close()


async def test_events_of_a_failing_reconcile_do_not_make_a_hot_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work_queue, "_WOKEN_RETRY_SECONDS", BACKOFF_SECONDS)
    work = Work(RETRY)
    queue = _queue(work)
    for _ in range(60):
        queue.wake(ONE)
        await asyncio.sleep(0.01)
    await queue.close()
    assert min(work.pauses()) >= BACKOFF_SECONDS
    assert len(work.starts) >= 3


async def test_news_during_a_failing_reconcile_is_not_left_until_the_end_of_a_long_pause(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work_queue, "_FIRST_BACKOFF_SECONDS", 30.0)
    monkeypatch.setattr(work_queue, "_WOKEN_RETRY_SECONDS", BACKOFF_SECONDS)
    work = Work(RETRY, LATER, seconds=0.02)
    queue = _queue(work)
    queue.wake(ONE, 0)
    await _until(lambda: work.running)
    queue.wake(ONE)
    await _until(lambda: len(work.starts) == 2)
    await queue.close()


async def test_what_is_quiet_is_looked_at_again() -> None:
    work = Work(LATER)
    queue = _queue(work, resync_seconds=0.05)
    queue.wake(ONE, 0)
    await _until(lambda: len(work.starts) >= 3)
    await queue.close()


async def test_a_reconcile_may_ask_for_an_earlier_look() -> None:
    work = Work(Result(Again.LATER, 0.05), LATER)
    queue = _queue(work)
    queue.wake(ONE, 0)
    await _until(lambda: len(work.starts) == 2)
    await queue.close()


async def test_a_resource_that_is_gone_is_forgotten() -> None:
    queue = _queue(Work(NEVER))
    queue.wake(ONE, 0)
    await _until(lambda: not queue.keys)
    await queue.close()


async def test_closing_waits_for_what_runs_and_starts_nothing() -> None:
    work = Work(LATER, seconds=0.05)
    queue = _queue(work)
    queue.wake(ONE, 0)
    await _until(lambda: work.running)
    queue.wake(TWO, 0)
    await queue.close()
    queue.wake(TWO, 0)
    await asyncio.sleep(0.02)
    assert (work.running, len(work.starts)) == (0, 1)
