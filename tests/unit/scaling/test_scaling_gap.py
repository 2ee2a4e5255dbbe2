"""A gap in the decisions: short, the windows go on; long, the size that is found is held for a window."""

from datetime import timedelta

import pytest

from autoglm_api.spec import Scaling
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.model import Load, PoolSnapshot
from autoglm_operator.scaling.readings import Fresh
from support.scaling_times import START

SCALING = Scaling.model_validate(
    {"minReplicas": 1, "maxReplicas": 8, "signals": [{"type": "Concurrency", "target": "4"}], "panic": "Disabled"}
)
TICK = timedelta(seconds=5)


def _snapshot(in_flight: int) -> PoolSnapshot:
    none = Fresh(0)
    return PoolSnapshot(6, 6, False, Load(queued=none, in_flight=Fresh(in_flight * 1000), offered_tokens=none))


@pytest.mark.parametrize(
    ("low_before", "gap", "held"),
    [
        (100, 30, 300 - 100 - 30),  # a restart: the window goes on
        (100, 60, 300 - 100 - 60),
        (100, 65, 300),  # too long to know what was: a window from now
        (290, 3600, 300),
    ],
)
def test_how_long_a_size_is_held_after_a_gap(low_before: int, gap: int, held: int) -> None:
    state, now = PoolState(), START
    for seconds in range(0, 600 + low_before, 5):
        _, state = decide(_snapshot(22 if seconds < 600 else 1), SCALING, state, now)
        now += TICK
    resumed = now = now + timedelta(seconds=gap) - TICK
    for _ in range(200):
        decision, state = decide(_snapshot(1), SCALING, state, now)
        if decision.replicas < 6:
            break
        now += TICK
    assert abs((now - resumed).total_seconds() - held) <= 2 * TICK.total_seconds()
