"""Which pods count for a per-pod metric."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

CPU: Final = "cpu"


class Phase(StrEnum):
    """A pod's phase."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"


class Readiness(NamedTuple):
    """A pod's Ready condition."""

    is_false: bool
    is_true: bool
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class Pod:
    """What the autoscaler looks at in a pod."""

    name: str
    phase: Phase = Phase.RUNNING
    terminating: bool = False
    readiness: Readiness | None = None
    started_at: datetime | None = None
    request_milli: int | None = None
    """Request of the resource that is scaled on; None where a container asks for none."""


class Usage(NamedTuple):
    """One pod's sample: thousandths, when it was taken, and over which window."""

    milli: int
    at: datetime
    window: timedelta


class Timing(NamedTuple):
    """How long a new pod's CPU figures are distrusted (kube-controller-manager's flags)."""

    initialization: timedelta = timedelta(seconds=300)
    readiness_delay: timedelta = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Groups:
    """The pods by what their sample is worth."""

    ready: int
    unready: frozenset[str]
    missing: frozenset[str]
    ignored: frozenset[str]


def grouped(
    pods: Iterable[Pod], samples: Mapping[str, Usage], *, resource: str | None, timing: Timing, now: datetime
) -> Groups:
    """Return the pods by group.

    | pod                                                      | group   |
    |----------------------------------------------------------|---------|
    | terminating or Failed                                    | ignored |
    | Pending                                                  | unready |
    | without sample                                           | missing |
    | CPU only: no Ready condition or start time               | unready |
    | CPU, initialising: not ready, or sample older than ready | unready |
    | CPU, later: not ready and never was                      | unready |
    | else, ready or not                                       | ready   |
    """
    names: dict[str, list[str]] = {"ready": [], "unready": [], "missing": [], "ignored": []}
    for pod in pods:
        names[_group(pod, samples, resource, timing, now)].append(pod.name)
    return Groups(
        ready=len(names["ready"]),
        unready=frozenset(names["unready"]),
        missing=frozenset(names["missing"]),
        ignored=frozenset(names["ignored"]),
    )


def serving(pods: Iterable[Pod]) -> int:
    """Return how many pods are Running and Ready."""
    return sum(pod.phase is Phase.RUNNING and pod.readiness is not None and pod.readiness.is_true for pod in pods)


def _group(pod: Pod, samples: Mapping[str, Usage], resource: str | None, timing: Timing, now: datetime) -> str:
    if pod.terminating or pod.phase is Phase.FAILED:
        return "ignored"
    if pod.phase is Phase.PENDING:
        return "unready"
    sample = samples.get(pod.name)
    if sample is None:
        return "missing"
    if resource == CPU and not _cpu_counts(pod, sample, timing, now):
        return "unready"
    return "ready"


def _cpu_counts(pod: Pod, sample: Usage, timing: Timing, now: datetime) -> bool:
    if pod.readiness is None or pod.started_at is None:
        return False
    changed_at = pod.readiness.changed_at
    if pod.started_at + timing.initialization > now:
        return not pod.readiness.is_false and sample.at >= changed_at + sample.window
    never_ready = pod.started_at + timing.readiness_delay > changed_at
    return not (pod.readiness.is_false and never_ready)
