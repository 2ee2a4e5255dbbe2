"""How long replicas take from their creation to their first readiness, each told once.

| pod at first sight                                   | later ready | told |
|------------------------------------------------------|-------------|------|
| not ready, never started                             | yes         | once |
| ready, or started before (this is no first readiness)| -           | no   |
| any, and it has restarted                            | yes         | no   |

A pod that needed restarts tells of a fault, and one that took longer than LONGEST waited for something else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from autoglm_api import names
from autoglm_operator.core.pods import Pod

LONGEST: Final = timedelta(hours=1)
_MOST: Final = 100  # per pool, between two who ask


@dataclass(frozen=True, slots=True)
class Startups:
    """What is known of one deployment's pods."""

    expected: frozenset[str] = frozenset()
    """UIDs of pods that have not been ready yet."""
    told: frozenset[str] = frozenset()
    """UIDs of pods that are there and tell nothing any more."""
    fresh: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """Per pool, seconds of the replicas that became ready and that nobody has asked for yet."""


def noticed(before: Startups | None, pods: Iterable[Pod]) -> Startups:
    """Return what is known after a look at all pods. With nothing known before, pods that are ready tell nothing."""
    known = before or Startups()
    workers = [pod for pod in pods if pod.live and pod.component == names.COMPONENT_WORKER and pod.uid]
    first = before is None
    waiting = {pod.uid for pod in workers if pod.uid in known.expected or _is_new(pod, known, first=first)}
    done = [pod for pod in workers if pod.uid in waiting and pod.ready]
    fresh = dict(known.fresh)
    for pod in done:
        fresh[pod.pool] = (*fresh.get(pod.pool, ()), *_seconds(pod))[-_MOST:]
    expected = frozenset(waiting - {pod.uid for pod in done})
    return Startups(expected, frozenset(pod.uid for pod in workers) - expected, fresh)


def handed_out(known: Startups) -> Startups:
    """Return what is left to tell after everything was told."""
    return replace(known, fresh={})


def _is_new(pod: Pod, known: Startups, *, first: bool) -> bool:
    return pod.uid not in known.told and not (first and (pod.ready or pod.started))


def _seconds(pod: Pod) -> tuple[float, ...]:
    if pod.created is None or pod.ready_at is None or pod.restarts > 0:
        return ()
    took = pod.ready_at - pod.created
    return (took.total_seconds(),) if timedelta() <= took <= LONGEST else ()
