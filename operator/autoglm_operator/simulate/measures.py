"""How a run is judged: objective, cost against a clairvoyant oracle, elasticity (SPEC RG), stability.

The keys of `measured` are the keys of the JSON output; docs/how-to/simulate.md explains each.
"""

from typing import Final

import numpy as np

from autoglm_operator.simulate.replay import Result
from autoglm_operator.simulate.static import TARGET_USE
from autoglm_operator.simulate.traces import Floats, Rates, trailing_mean

FLAP_SECONDS: Final = 600
"""Two changes in opposite directions within this time are a flap."""
STEP_FACTOR: Final = 2.0
"""A step of the load: the 60 s mean reaches this many times that of five minutes before."""
STEP_BEFORE_SECONDS: Final = 300


def oracle_sizes(offered: Floats, capacity_tokens: float) -> Floats:
    """Return the clairvoyant size at each second: ceil(mean of its minute / (0.85 of a replica)), at least 1."""
    minutes = [offered[start : start + 60].mean() for start in range(0, len(offered), 60)]
    demand = np.repeat(np.array(minutes), 60)[: len(offered)]
    return np.maximum(1.0, np.ceil(demand / (capacity_tokens * TARGET_USE) - 1e-9))


def measured(result: Result, *, gpus_per_replica: int = 1) -> dict[str, float | None]:
    """Return every figure of a run under the key of the JSON output; None where a figure has no meaning."""
    oracle = oracle_sizes(result.offered, result.capacity_tokens)
    hours = len(result.held) / 3600
    replica_seconds = float(result.held.sum())
    return {
        "sloAttainmentPercent": slo_attainment(result.within, result.arrived),
        "gpuHours": replica_seconds * gpus_per_replica / 3600,
        "costVsOracle": replica_seconds / float(oracle.sum()),
        "costVsStaticPeak": replica_seconds / (static_size(result) * len(result.held)),
        "flapsPerHour": len(flaps(result.asked)) / hours,
        "scaleEventsPerHour": len(_events(result.asked)[0]) / hours,
        "maxStep": float(np.abs(np.diff(result.asked)).max(initial=0.0)),
        "meanReplicas": float(result.held.mean()),
        "maxReplicas": float(result.held.max()),
        "recoverySeconds": recovery_seconds(result),
        "meanWaitSeconds": _weighted_mean(result.waits, result.arrived),
        "p95WaitSeconds": _weighted_percentile(result.waits, result.arrived, 95.0),
        **elasticity(result),
    }


def slo_attainment(within: Floats, arrived: Floats) -> float:
    """Return the percentage of the queries that met the objective; 100 when none came."""
    total = float(arrived.sum())
    return 100.0 * float(within.sum()) / total if total else 100.0


def static_size(result: Result) -> float:
    """Return the size that carries the trace's highest 60 s mean at 85 %."""
    peak = Rates(result.arrived, result.offered).peak_tokens()
    return float(max(1.0, np.ceil(peak / (result.capacity_tokens * TARGET_USE) - 1e-9)))


def flaps(asked: Floats) -> list[int]:
    """Return the seconds at which the size turns around within ten minutes of a change the other way."""
    at, change = _events(asked)
    return [
        int(late)
        for early, late, before, after in zip(at, at[1:], change, change[1:], strict=False)
        if before * after < 0 and late - early <= FLAP_SECONDS
    ]


def elasticity(result: Result) -> dict[str, float | None]:
    """Return SPEC RG's elasticity metrics (Herbst et al., SPEC-RG-2016-01) of ready replicas against the demand.

    The demand is the oracle's size. Accuracy (theta) is the mean relative gap, time share (tau) the share of the time
    with a gap, instability the share of the seconds with a change in which supply and demand move against each other or
    only one moves, jitter the changes of the supply less those of the demand, per hour.
    """
    demand, supply = oracle_sizes(result.offered, result.capacity_tokens), result.ready
    under, over = np.maximum(demand - supply, 0), np.maximum(supply - demand, 0)
    moves = np.sign(np.diff(demand)), np.sign(np.diff(supply))
    return {
        "thetaUnder": float((under / demand).mean()),
        "thetaOver": float((over / demand).mean()),
        "tauUnder": float((under > 0).mean()),
        "tauOver": float((over > 0).mean()),
        "instability": float((moves[0] != moves[1]).mean()) if len(demand) > 1 else 0.0,
        "jitterPerHour": float((np.count_nonzero(moves[1]) - np.count_nonzero(moves[0])) * 3600 / len(demand)),
    }


def recovery_seconds(result: Result) -> float | None:
    """Return the longest time from a step of the load until no query waits beyond the objective; None without a step.

    A step: the 60 s mean doubles within five minutes. Recovery ends a step; the next one counts after it.
    """
    mean = trailing_mean(result.offered, 60)
    before = np.concatenate([mean[:1].repeat(STEP_BEFORE_SECONDS), mean[:-STEP_BEFORE_SECONDS]])[: len(mean)]
    steps = np.flatnonzero((mean >= STEP_FACTOR * before) & (before > 0))
    late = result.waits > result.slo_wait_seconds
    longest, recovered = None, -1
    for start in steps:
        if start <= recovered:
            continue
        recovered = _calm_from(late, int(start))
        longest = max(longest or 0.0, float(recovered - start))
    return longest


def _calm_from(late: np.ndarray, start: int) -> int:
    """Return the first second of a minute without a late query, from `start` on; the end when there is none."""
    last = start
    for second in range(start, len(late)):
        if late[second]:
            last = second + 1
        elif second - last >= STEP_BEFORE_SECONDS:
            return last
    return last


def _events(asked: Floats) -> tuple[np.ndarray, np.ndarray]:
    change = np.diff(asked)
    at = np.flatnonzero(change)
    return at, change[at]


def _weighted_mean(values: Floats, weights: Floats) -> float:
    total = float(weights.sum())
    return float((values * weights).sum()) / total if total else 0.0


def _weighted_percentile(values: Floats, weights: Floats, percent: float) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    if total[-1] == 0:
        return 0.0
    return float(values[order][np.searchsorted(total, total[-1] * percent / 100)])
