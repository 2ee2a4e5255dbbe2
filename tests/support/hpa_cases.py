"""Scaling cases in the form that `benchmarks/conformance/hpa` asks kube-controller-manager, and our answers to them.

A case has the HPA's bounds and behavior, the pods, the metrics, and the history; every time is an age in seconds.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from autoglm_api.spec import Behavior
from autoglm_operator.scaling import hpa
from autoglm_operator.scaling.rules import tolerance_of
from support.scaling_times import at

NOW = at(100_000)
MOST = 2**31 - 1
Case = Mapping[str, Any]


def differences(case: Case, upstream: Case) -> dict[str, tuple[Any, Any]]:
    """Return what upstream and we answer differently: field -> (upstream's, ours)."""
    ours = answered(case)
    # A size beyond int32 is what the conversion happens to give, upstream.
    if any(proposal is not None and proposal >= MOST for proposal in ours["Proposals"]):
        return {}
    fields = [field for field in ours if field in upstream]
    return {
        field: (upstream[field], ours[field]) for field in fields if (upstream[field] or None) != (ours[field] or None)
    }


def answered(case: Case) -> dict[str, Any]:
    """Return our answer to a case."""
    behavior = Behavior.model_validate(case["Given"]) if case["Given"] is not None else None
    metrics = tuple(_metric(metric) for metric in case["Metrics"])
    fleet = hpa.Fleet(case["Spec"], case["Status"], tuple(_pod(pod) for pod in case["Pods"]), NOW)
    bounds = hpa.Bounds(case["Min"], case["Max"])
    step = hpa.reconcile(hpa.Autoscaler(bounds, metrics, behavior), fleet, _history(case))
    answer: dict[str, Any] = {
        "Proposals": [_proposal(metric, replace(fleet, tolerance=tolerance_of(behavior))) for metric in metrics],
        "Size": step.replicas,
        "UpN": [event.change for event in step.history.grown],
        "DownN": [event.change for event in step.history.shrunk],
    }
    if case["Recs"]:  # else upstream's clock moves on between its first record and its second
        answer["Recs"] = [entry.replicas for entry in step.history.recommendations]
    if step.scaling_active and bounds.minimum <= case["Spec"] <= bounds.maximum:
        answer["AbleReason"] = str(step.stabilization or "ReadyForNewScale")
        answer["LimitReason"] = str(step.reason)
        answer["Limited"] = str(step.is_limited)
    return answer


def _ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def _pod(pod: Case) -> hpa.Pod:
    started, ready = pod["StartedAgo"], pod["Ready"]
    readiness = hpa.Readiness(ready == "False", ready == "True", _ago(pod["ChangedAgo"])) if ready else None
    started_at = _ago(started) if started is not None else None
    return hpa.Pod(pod["Name"], hpa.Phase(pod["Phase"]), pod["Deleting"], readiness, started_at, pod["Request"])


def _metric(metric: Case) -> hpa.Metric:
    target, usage = metric["Target"], metric["Usage"]
    samples = {
        pod: hpa.Usage(sample["Milli"], _ago(sample["Ago"]), timedelta(seconds=sample["Window"]))
        for pod, sample in metric["Samples"].items()
    }
    match metric["Kind"]:
        case "Utilization":
            return hpa.Utilization(metric["Resource"], target, samples)
        case "RawResource":
            return hpa.PodsAverage(target, samples, metric["Resource"])
        case "Pods":
            return hpa.PodsAverage(target, samples)
        case "Value":
            return hpa.Value(target, usage)
        case kind:
            return hpa.AverageValue(target, usage, is_external=kind == "AverageValue")


def _proposal(metric: hpa.Metric, fleet: hpa.Fleet) -> int | None:
    try:
        return metric.proposal(fleet)
    except hpa.MetricError:
        return None


def _history(case: Case) -> hpa.History:
    return hpa.History(
        tuple(hpa.Recommendation(_ago(entry["Ago"]), entry["N"]) for entry in case["Recs"]),
        _events(case["Up"]),
        _events(case["Down"]),
    )


def _events(entries: Iterable[Case]) -> tuple[hpa.ScaleEvent, ...]:
    return tuple(hpa.ScaleEvent(_ago(entry["Ago"]), entry["N"]) for entry in entries)
