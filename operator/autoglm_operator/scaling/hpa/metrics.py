"""The size that one metric asks for, per kind of metric, in int64 thousandths and upstream's roundings."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Final, NamedTuple

from autoglm_operator.scaling.hpa.pods import Groups, Pod, Timing, Usage, grouped, serving
from autoglm_operator.scaling.rules import Tolerance

MAX_INT32: Final = 2**31 - 1
MAX_INT64: Final = 2**63 - 1


class MetricError(Exception):
    """The metric gives no proposal; the message is upstream's."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """The scaled object at one moment."""

    spec_replicas: int
    status_replicas: int
    pods: tuple[Pod, ...]
    now: datetime
    tolerance: Tolerance = field(default_factory=Tolerance)
    """The controller's tolerance; a `behavior` that gives one of its own overrules it in `reconcile`."""
    timing: Timing = field(default_factory=Timing)


@dataclass(frozen=True, slots=True)
class Utilization:
    """Resource or ContainerResource: percent of what the pods (or that container of theirs) request."""

    resource: str
    target_percent: int
    samples: Mapping[str, Usage]

    def proposal(self, fleet: Fleet) -> int:
        """Return the size asked for; raises MetricError."""
        usable = _usable(fleet, self.samples, self.resource)
        requests = _requests(fleet.pods, self.resource)
        full = max(100, self.target_percent)

        def ratio(usage: Mapping[str, int]) -> float:
            return _utilization_percent(usage, requests) / self.target_percent

        return _per_pod(fleet, usable, ratio, lambda pod: requests[pod] * full // 100)


@dataclass(frozen=True, slots=True)
class PodsAverage:
    """Pods, or Resource with AverageValue: the mean over the pods. `resource` is None for a Pods metric."""

    target_milli: int
    samples: Mapping[str, Usage]
    resource: str | None = None

    def proposal(self, fleet: Fleet) -> int:
        """Return the size asked for; raises MetricError."""

        def ratio(usage: Mapping[str, int]) -> float:
            return float(_quotient(sum(usage.values()), len(usage))) / float(self.target_milli)

        return _per_pod(fleet, _usable(fleet, self.samples, self.resource), ratio, lambda _: self.target_milli)


@dataclass(frozen=True, slots=True)
class Value:
    """Object or External with Value: one figure for all, scaled by the pods that are ready."""

    target_milli: int
    usage_milli: Sequence[int]

    def proposal(self, fleet: Fleet) -> int:
        """Return the size asked for; raises MetricError."""
        ratio = float(_sum(self.usage_milli)) / float(self.target_milli)
        if fleet.spec_replicas == 0:
            return _ceil_int32(ratio)
        if fleet.tolerance.covers(ratio):
            return fleet.spec_replicas
        if not fleet.pods:
            raise MetricError("no pods returned by selector while calculating replica count")
        return _ceil_int32(ratio * float(serving(fleet.pods)))


@dataclass(frozen=True, slots=True)
class AverageValue:
    """Object or External with AverageValue: a figure per replica, surge pods included, whatever their readiness."""

    target_milli: int
    usage_milli: Sequence[int]
    is_external: bool = True
    """Upstream takes a negative running sum of an External metric for an overflow; an Object has only one figure."""

    def proposal(self, fleet: Fleet) -> int:
        """Return the size asked for."""
        total = _overflowing_sum(self.usage_milli) if self.is_external else _sum(self.usage_milli)
        usage, target = float(total), float(self.target_milli)
        supply = target * float(fleet.status_replicas)
        if supply > 0 and fleet.tolerance.covers(usage / supply):
            return fleet.status_replicas
        return _ceil_int32(usage / target)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A metric that could not be read."""

    detail: str

    def proposal(self, fleet: Fleet) -> int:
        """Raise MetricError."""
        raise MetricError(f"{self.detail} ({fleet.spec_replicas} replicas)")


Metric = Utilization | PodsAverage | Value | AverageValue | Unavailable


class _Usable(NamedTuple):
    groups: Groups
    usage: dict[str, int]
    """Thousandths by pod, without the pods that do not count; pods that nobody knows stay in."""


def _usable(fleet: Fleet, samples: Mapping[str, Usage], resource: str | None) -> _Usable:
    if not fleet.pods:
        raise MetricError("no pods returned by selector while calculating replica count")
    groups = grouped(fleet.pods, samples, resource=resource, timing=fleet.timing, now=fleet.now)
    usage = {pod: sample.milli for pod, sample in samples.items() if pod not in groups.unready | groups.ignored}
    if not usage:
        raise MetricError("did not receive metrics for targeted pods (pods might be unready)")
    return _Usable(groups, usage)


def _per_pod(
    fleet: Fleet,
    usable: _Usable,
    ratio_of: Callable[[Mapping[str, int]], float],
    full_load: Callable[[str], int],
) -> int:
    """Return the size for samples per pod; pods without a usable one are filled in against the direction."""
    groups, usage = usable
    ratio = ratio_of(usage)
    if not groups.missing and not (groups.unready and ratio > 1):
        return fleet.spec_replicas if fleet.tolerance.covers(ratio) else _ceil_int32(ratio * float(groups.ready))
    filled = {**usage, **_fillers(groups, ratio, full_load)}
    return _rechecked(fleet, ratio, ratio_of(filled), len(filled))


def _fillers(groups: Groups, ratio: float, full_load: Callable[[str], int]) -> dict[str, int]:
    if ratio < 1:
        return {pod: full_load(pod) for pod in groups.missing}
    if ratio > 1:
        return dict.fromkeys(groups.missing | groups.unready, 0)
    return {}


def _rechecked(fleet: Fleet, before: float, after: float, count: int) -> int:
    current = fleet.spec_replicas
    if fleet.tolerance.covers(after) or (before < 1 < after) or (after < 1 < before):
        return current
    size = _ceil_int32(after * float(count))
    turns_back = (after < 1 and size > current) or (after > 1 and size < current)
    return current if turns_back else size


def _requests(pods: Sequence[Pod], resource: str) -> dict[str, int]:
    requests: dict[str, int] = {}
    for pod in pods:
        if pod.request_milli is None:
            raise MetricError(f"missing request for {resource} in Pod {pod.name}")
        requests[pod.name] = pod.request_milli
    return requests


def _utilization_percent(usage: Mapping[str, int], requests: Mapping[str, int]) -> int:
    known = [pod for pod in usage if pod in requests]
    requested = sum(requests[pod] for pod in known)
    if requested == 0:
        raise MetricError("no metrics returned matched known pods")
    return _quotient(sum(usage[pod] for pod in known) * 100, requested)


def _sum(usage_milli: Sequence[int]) -> int:
    return min(sum(usage_milli), MAX_INT64)


def _overflowing_sum(usage_milli: Sequence[int]) -> int:
    partial_sums = accumulate(usage_milli)
    return MAX_INT64 if any(not 0 <= partial <= MAX_INT64 for partial in partial_sums) else sum(usage_milli)


def _quotient(total: int, count: int) -> int:
    """Go's integer division: towards zero, where Python's goes down."""
    return total // count if total >= 0 else -(-total // count)


def _ceil_int32(size: float) -> int:
    return min(math.ceil(size), MAX_INT32)
