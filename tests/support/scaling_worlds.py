"""What a pool may live through, drawn at random: any load over any set of signals, tick after tick."""

from hypothesis import strategies as st

from autoglm_api.spec import Scaling, Signal
from autoglm_operator.scaling.model import Load, PoolSnapshot
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading

SIGNALS = [
    Signal.model_validate(given)
    for given in (
        {"type": "TokenDemand", "target": 100},
        {"type": "QueuedQueriesPerReplica", "target": 4},
        {"type": "Concurrency", "target": 6},
        {"type": "KVCacheUse", "targetPercent": 80},
        {"type": "GPUMemory", "targetPercent": 80, "source": "Device"},
        {"type": "GPUUtilization", "targetPercent": 70},
        {"type": "FirstTokenLatency", "targetMilliseconds": 500},
        {"type": "PerTokenLatency", "targetMilliseconds": 50},
        {"type": "Prometheus", "name": "own", "target": 10, "query": "sum(x)"},
        {"type": "KafkaLag", "target": 50, "consumerGroup": "shop"},
    )
]

failures = st.builds(NoData, st.sampled_from(Problem), st.just("why"))
"""Readings without any figure."""


def complete(largest: int) -> st.SearchStrategy[Reading]:
    """Complete readings of at most so many units."""
    return st.integers(0, largest * 1000).map(Fresh)


def readings(largest: int) -> st.SearchStrategy[Reading]:
    """Complete, partial and missing readings, of at most so many units."""
    parts = st.integers(0, largest * 1000).map(lambda milli: AtLeast(milli, Problem.PARTIAL, "half"))
    return st.one_of(complete(largest), complete(largest), parts, failures)


@st.composite
def loads(draw: st.DrawFn, signals: list[Signal]) -> Load:
    """Draw a load, quiet or heavy as a whole, complete or not, in which each reading is drawn by itself."""
    weight, kind = draw(st.sampled_from([0, 0, 5, 200])), draw(st.sampled_from([complete, readings]))
    few, many = kind(weight), kind(15 * weight)
    return Load(
        queued=draw(few),
        in_flight=draw(few),
        queued_tokens=draw(many),
        offered_tokens=draw(many),
        offered_tokens_now=draw(many),
        served_tokens=draw(many),
        signals={signal.key: draw(few) for signal in signals},
    )


signal_sets = st.lists(st.sampled_from(SIGNALS), min_size=1, max_size=5, unique_by=lambda signal: signal.key)


@st.composite
def rules(draw: st.DrawFn, least: int = 1) -> Scaling:
    """Bounds of at least `least` replicas, signals, and a short window so that shrinking happens in the test's time."""
    low = draw(st.integers(least, 5))
    down = {"stabilizationWindowSeconds": draw(st.sampled_from([0, 10, 30]))}
    return Scaling.model_validate(
        {
            "minReplicas": low,
            "maxReplicas": low + draw(st.integers(0, 30)),
            "signals": [signal.to_json() for signal in draw(signal_sets)],
            "behavior": {"scaleDown": down},
        }
    )


@st.composite
def snapshots(
    draw: st.DrawFn, scaling: Scaling, current: int, load: st.SearchStrategy[Load] | None = None
) -> PoolSnapshot:
    """One moment of a pool of that size."""
    return PoolSnapshot(
        current=current,
        ready=draw(st.integers(0, current)) if draw(st.booleans()) else current,
        rolling_out=draw(st.sampled_from([False, False, False, True])),
        load=draw(loads(scaling.signals) if load is None else load),
        concurrency=draw(st.sampled_from([0, 8])),
        became_ready=tuple(draw(st.lists(st.floats(1, 300), max_size=2))),
    )
