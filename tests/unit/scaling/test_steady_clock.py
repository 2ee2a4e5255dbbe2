"""The scaling loop's clock when the node's clock is set."""

from datetime import datetime, timedelta

import pytest

from autoglm_operator.shell.scaling_loop import _SteadyClock
from support.scaling_times import START


class _Node:
    """A node with a clock that can be set."""

    def __init__(self) -> None:
        self.passed, self.set_by = 0.0, 0.0

    def wall(self) -> datetime:
        return START + timedelta(seconds=self.passed + self.set_by)

    def monotonic(self) -> float:
        return self.passed


@pytest.mark.parametrize("set_by", [-3600.0, 0.0, 3600.0])
def test_a_clock_that_is_set_is_followed_slowly_and_never_backwards(set_by: float) -> None:
    node = _Node()
    clock = _SteadyClock(node.wall, node.monotonic)
    node.set_by, before = set_by, clock.now()
    for _ in range(8000):
        node.passed += 5
        now = clock.now()
        assert 4.4 <= (now - before).total_seconds() <= 5.6
        before = now
    assert before == node.wall()
