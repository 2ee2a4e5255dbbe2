"""A pool without replicas that should have none: asleep is no outage, stopped is.

| wanted | ready | situation                                                        | rest    |
|--------|-------|-------------------------------------------------------------------|---------|
| 0      | any   | scaled to 0 by hand, growing is paused, or only advice is given   | STOPPED |
| 0      | any   | else: the first query wakes it (or whoever writes its size does)  | ASLEEP  |
| > 0    | 0     | it was asleep, its replicas start, nothing is wrong, not for long | WAKING  |
| > 0    | any   | else                                                              | AWAKE   |
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import Enum
from typing import Final

from autoglm_api.spec import Mode
from autoglm_api.status import ConditionStatus, ConditionType, PoolStatus, Reason
from autoglm_operator.core.deployment import condition
from autoglm_operator.core.pods import Pod
from autoglm_operator.core.sizing import Sizing

_PATIENCE: Final = 3  # times the start-up time that the spec expects
_ASLEEP_REASONS: Final = (Reason.SCALED_TO_ZERO, Reason.WOKEN)


class Rest(Enum):
    """Whether a pool answers, or would."""

    AWAKE = "awake"
    ASLEEP = "asleep"
    WAKING = "waking"
    STOPPED = "stopped"

    @property
    def answers_later(self) -> bool:
        """Whether a query that arrives now waits and is answered."""
        return self in (Rest.ASLEEP, Rest.WAKING)


def rest_of(
    sizing: Sizing, before: PoolStatus | None, pods: Iterable[Pod], startup_seconds: int, now: datetime
) -> Rest:
    """Return how a pool rests, from its size, its last report and its pods."""
    if sizing.desired == 0:
        return Rest.STOPPED if sizing.stopped or sizing.mode is Mode.ADVISORY else Rest.ASLEEP
    patience = timedelta(seconds=_PATIENCE * startup_seconds)
    if _was_asleep(before) and all(_starts(pod, now, patience) for pod in pods):
        return Rest.WAKING
    return Rest.AWAKE


def _was_asleep(before: PoolStatus | None) -> bool:
    ready = condition(before.conditions, ConditionType.READY) if before is not None else None
    return ready is not None and ready.status is ConditionStatus.TRUE and ready.reason in _ASLEEP_REASONS


def _starts(pod: Pod, now: datetime, patience: timedelta) -> bool:
    young = pod.created is None or now - pod.created < patience
    return young and not pod.ready and pod.evidence is None
