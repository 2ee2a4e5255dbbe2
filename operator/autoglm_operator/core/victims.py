"""Which replicas a shrinking pool gives up, told to the ReplicaSet by the pod-deletion-cost annotation.

A ReplicaSet removes pods without a node first, then those that are not ready; only among ready pods does the cost
count, the lowest first. So only ready pods are marked: the idlest, then the youngest, then those that do not tell.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from autoglm_operator.core.pods import Pod

COST: Final = "-1"
"""What a victim costs; a pod without the annotation costs 0."""
_MOST_MARKS: Final = 64
"""Pods that are marked at once; a larger step takes the others as the ReplicaSet chooses."""


class Mark(NamedTuple):
    """One annotation to write."""

    pod: Pod
    cost: str | None
    """None takes back the mark of a victim that was not taken then."""


def needs_choice(pods: Sequence[Pod], size: int) -> bool:
    """Tell whether shrinking to a size takes some, but not all, of the ready pods."""
    ready = sum(pod.ready for pod in pods)
    return 0 < size < ready


def marks(pods: Sequence[Pod], size: int, in_flight: Mapping[str, int]) -> list[Mark]:
    """Return what to write before a Deployment with these live pods shrinks; `in_flight` is by the pod's name."""
    if not needs_choice(pods, size):
        return []
    ready = [pod for pod in pods if pod.ready]
    by_age = sorted(ready, key=lambda pod: (pod.created.timestamp() if pod.created else 0.0, pod.name), reverse=True)
    idlest = sorted(by_age, key=lambda pod: (pod.name not in in_flight, in_flight.get(pod.name, 0)))
    chosen = idlest[: len(ready) - size] if in_flight else []
    spared = [Mark(pod, None) for pod in idlest if pod.deletion_cost == COST and pod not in chosen]
    fresh = [Mark(pod, COST) for pod in chosen if pod.deletion_cost != COST]
    return [*spared, *fresh][:_MOST_MARKS]
