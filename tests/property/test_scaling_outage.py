"""No data is never zero load: whatever else is seen, a pool with a missing reading does not shrink."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_api.spec import Scaling
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.model import NOT_READ, Load
from autoglm_operator.scaling.observation import sources_of
from autoglm_operator.scaling.outage import RECENT_FOR, SignalMemory, Stage, assess
from autoglm_operator.scaling.readings import Fresh, NoData, Reading
from autoglm_operator.scaling.rules import complete
from support.scaling_times import at
from support.scaling_worlds import readings, rules, snapshots

SOME = settings(max_examples=25)

RECENT = RECENT_FOR.total_seconds()


def missing_in(load: Load, scaling: Scaling) -> set[str]:
    """Return the readings that the pool's signals need and that are no full figure."""
    sources = {source for signal in scaling.signals for source in sources_of(signal)}
    return {one for one in sources if not isinstance(getattr(load, one, None) or load.signals[one], Fresh)}


@SOME
@given(rules(), st.data(), st.lists(st.integers(1, 40), min_size=1, max_size=10))
def test_a_pool_keeps_the_size_of_a_long_gap_for_a_whole_window(
    scaling: Scaling, data: st.DataObject, pauses: list[int]
) -> None:
    sizes = st.integers(scaling.min_replicas, scaling.max_replicas)
    current, state, seconds = data.draw(sizes), PoolState(), 0
    window, gaps = complete(scaling.behavior).down.window.total_seconds(), dict[int, int]()
    last, sources = dict[str, int](), {source for signal in scaling.signals for source in sources_of(signal)}
    for pause in pauses:
        seconds += pause
        pool = data.draw(snapshots(scaling, current))
        decision, state = decide(pool, scaling, state, at(seconds))
        missing = missing_in(pool.load, scaling)
        last |= dict.fromkeys(sources - missing, seconds)
        if any(seconds - last.get(one, -RECENT) >= RECENT for one in missing):
            gaps[seconds] = current
        held = [size for gap, size in gaps.items() if gap == seconds or seconds - gap < window]
        assert decision.replicas >= min(current, max(held, default=0)), decision
        assert not missing or decision.replicas >= current, decision
        # A pool that has nothing left to lose proves nothing: somebody scales it up.
        current = max(decision.replicas, data.draw(sizes))


@SOME
@given(rules(), st.data(), st.lists(st.integers(1, 120), min_size=1, max_size=8))
def test_a_pool_whose_readings_are_all_missing_keeps_its_size(
    scaling: Scaling, data: st.DataObject, pauses: list[int]
) -> None:
    current = data.draw(st.integers(scaling.min_replicas, scaling.max_replicas))
    nothing = Load(NOT_READ, NOT_READ)
    _, state = decide(data.draw(snapshots(scaling, current, st.just(nothing))), scaling, PoolState(), at(0))
    seconds = 0
    for pause in pauses:
        seconds += pause
        pool = data.draw(snapshots(scaling, current, st.just(nothing)))
        decision, state = decide(pool, scaling, state, at(seconds))
        assert (decision.replicas, decision.metrics_available) == (current, False)


@SOME
@given(st.lists(st.tuples(st.integers(1, 200), readings(50)), min_size=1, max_size=20))
def test_the_ladder_never_makes_up_a_figure(history: list[tuple[int, Reading]]) -> None:
    memory, seconds, last = SignalMemory(), 0, (-(10**9), 0)
    for pause, reading in history:
        seconds += pause
        worth = assess(reading, memory, at(seconds), lost_after=timedelta(seconds=300))
        memory = worth.memory
        if isinstance(reading, Fresh):
            last = (seconds, reading.milli)
            assert (worth.stage, worth.reading) == (Stage.FRESH, reading)
            continue
        assert worth.stage is not Stage.FRESH
        assert not isinstance(worth.reading, Fresh)
        seen = 0 if isinstance(reading, NoData) else reading.milli
        recent = last[1] if seconds - last[0] < RECENT_FOR.total_seconds() else 0
        assert isinstance(worth.reading, NoData) or worth.reading.milli == max(seen, recent)
