from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_api.spec import Behavior, Signal
from autoglm_operator.scaling.behavior import Bounds, carried_out, normalize
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.deployment import DeploymentState, PoolInput, decide_deployment
from autoglm_operator.scaling.history import History, seeded
from autoglm_operator.scaling.journal import Entry, line_for, record_of, replay
from autoglm_operator.scaling.model import Load, PoolSnapshot, PoolTarget
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem
from support.scaling_pools import BLIND, fresh_load, scaling, snapshot
from support.scaling_times import at

FEW = settings(max_examples=40)

policies = st.builds(
    lambda kind, value, period: {"type": kind, "value": value, "periodSeconds": period},
    st.sampled_from(["Pods", "Percent"]),
    st.integers(1, 200),
    st.integers(1, 120),
)
directions = st.fixed_dictionaries(
    {},
    optional={
        "stabilizationWindowSeconds": st.integers(0, 60),
        "selectPolicy": st.sampled_from(["Max", "Min", "Disabled"]),
        "policies": st.lists(policies, min_size=1, max_size=3),
    },
)
behaviors = st.fixed_dictionaries({}, optional={"scaleUp": directions, "scaleDown": directions}).map(
    Behavior.model_validate
)
figures = st.integers(0, 300_000)
readings = st.one_of(
    figures.map(Fresh),
    figures.map(lambda milli: AtLeast(milli, Problem.PARTIAL, "half")),
    st.just(NoData(Problem.MISSING, "none")),
)
loads = st.builds(Load, readings, readings)
ranges = st.tuples(st.integers(1, 20), st.integers(0, 30)).map(lambda pair: Bounds(pair[0], pair[0] + pair[1]))
proposals = st.lists(st.integers(0, 60), min_size=1, max_size=30)


@FEW
@given(ranges, behaviors, st.integers(0, 60), st.lists(st.tuples(loads, st.booleans()), min_size=1, max_size=15))
def test_every_size_lies_within_the_bounds(
    bounds: Bounds, rules: Behavior, current: int, ticks: list[tuple[Load, bool]]
) -> None:
    state = PoolState()
    for second, (load, rolling_out) in enumerate(ticks):
        pool = PoolSnapshot(current, current, rolling_out, load)
        decision, state = decide(pool, scaling(*bounds, rules), state, at(5 * second))
        assert bounds.minimum <= decision.replicas <= bounds.maximum
        current = decision.replicas


@FEW
@given(ranges, behaviors, st.data(), st.lists(figures, max_size=6))
def test_no_data_never_changes_a_size_within_the_bounds(
    bounds: Bounds, rules: Behavior, data: st.DataObject, before: list[int]
) -> None:
    current, state = data.draw(st.integers(*bounds)), PoolState()
    for second, milli in enumerate(before):
        pool = snapshot(current, Load(Fresh(0), Fresh(milli)))
        decision, state = decide(pool, scaling(*bounds, rules), state, at(second))
        current = decision.replicas
    for second in range(len(before), len(before) + 5):
        decision, state = decide(snapshot(current, BLIND), scaling(*bounds, rules), state, at(1000 + second))
        assert (decision.replicas, decision.metrics_available) == (current, False)


@FEW
@given(ranges, behaviors, st.data(), loads)
def test_a_pool_shrinks_only_if_every_signal_has_data(
    bounds: Bounds, rules: Behavior, data: st.DataObject, load: Load
) -> None:
    current = data.draw(st.integers(*bounds))
    _, state = decide(snapshot(current, fresh_load()), scaling(*bounds, rules), PoolState(), at(0))
    decision, _ = decide(snapshot(current, load), scaling(*bounds, rules), state, at(4000))
    if decision.replicas < current:
        assert isinstance(load.queued, Fresh)
        assert isinstance(load.in_flight, Fresh)


@FEW
@given(ranges, behaviors, st.data(), figures, figures)
def test_more_load_never_means_fewer_replicas(
    bounds: Bounds, rules: Behavior, data: st.DataObject, one: int, other: int
) -> None:
    current = data.draw(st.integers(*bounds))
    _, state = decide(snapshot(current, fresh_load()), scaling(*bounds, rules), PoolState(), at(0))
    less, more = (
        decide(snapshot(current, Load(Fresh(0), Fresh(milli))), scaling(*bounds, rules), state, at(70))[0].replicas
        for milli in sorted((one, other))
    )
    assert less <= more


tokens = st.integers(0, 30_000_000)
DEMAND = [Signal(type="TokenDemand", target="1000"), Signal(type="Concurrency")]


def token_load(offered: int, queued: int, in_flight: int) -> Load:
    return Load(Fresh(0), Fresh(in_flight), Fresh(queued), Fresh(offered), Fresh(offered), Fresh(offered))


token_loads = st.builds(token_load, tokens, tokens, figures)


@FEW
@given(ranges, behaviors, st.data(), st.lists(token_loads, max_size=40), token_loads, token_loads)
def test_more_tokens_never_mean_fewer_replicas_whatever_the_past(
    bounds: Bounds, rules: Behavior, data: st.DataObject, past: list[Load], one: Load, other: Load
) -> None:
    current, state = data.draw(st.integers(*bounds)), PoolState()
    asked = scaling(*bounds, rules, signals=DEMAND)
    for second, load in enumerate(past):
        _, state = decide(snapshot(current, load), asked, state, at(15 * second))
    low, high = (
        token_load(*(choose(a, b) for a, b in zip(parts(one), parts(other), strict=True))) for choose in (min, max)
    )
    # What a replica is seen to serve is no load: more of it may well mean fewer replicas.
    high = replace(high, served_tokens=low.served_tokens)
    now = at(15 * len(past))
    less, more = (decide(snapshot(current, load), asked, state, now)[0].replicas for load in (low, high))
    assert less <= more


def parts(load: Load) -> list[int]:
    readings = (load.offered_tokens, load.queued_tokens, load.in_flight)
    return [reading.milli for reading in readings if isinstance(reading, Fresh)]


@FEW
@given(ranges, behaviors, st.data(), st.lists(st.one_of(loads, token_loads), min_size=1, max_size=20))
def test_a_journal_replays_to_the_same_decisions(
    bounds: Bounds, rules: Behavior, data: st.DataObject, past: list[Load]
) -> None:
    current, state, entries = data.draw(st.integers(*bounds)), DeploymentState(), list[Entry]()
    asked = scaling(*bounds, rules, signals=DEMAND)
    for second, load in enumerate(past):
        pool = PoolInput(PoolTarget(asked, current, current, rolling_out=False), load)
        decisions, state = decide_deployment({"a/b/c": pool}, None, state, at(15 * second))
        entry = record_of(line_for(Entry("a/b/c", *pool, decisions["a/b/c"])))
        assert isinstance(entry, Entry)
        entries.append(entry)
        current = decisions["a/b/c"].replicas
    assert [again.decision for again in replay(entries)] == [entry.decision for entry in entries]


def sizes_over_time(current: int, rules: Behavior, asked: Sequence[int]) -> list[int]:
    history, sizes = seeded(History(), current, at(0)), [current]
    for second, proposal in enumerate(asked):
        moment = at(second)
        result = normalize(
            proposal, current=sizes[-1], bounds=Bounds(0, 1000), behavior=rules, history=history, now=moment
        )
        history = carried_out(result.history, rules, before=sizes[-1], after=result.replicas, at=moment)
        sizes.append(result.replicas)
    return sizes


@FEW
@given(st.integers(1, 30), st.integers(1, 5), st.integers(1, 10), proposals)
def test_growth_within_any_period_never_exceeds_the_policy(
    current: int, value: int, period: int, asked: list[int]
) -> None:
    up: dict[str, Any] = {"policies": [{"type": "Pods", "value": value, "periodSeconds": period}]}
    rules = Behavior.model_validate({"scaleUp": up, "scaleDown": {"selectPolicy": "Disabled"}})
    sizes = sizes_over_time(current, rules, asked)
    assert all(late - early <= value for early, late in zip(sizes, sizes[period:], strict=False))


@FEW
@given(st.integers(1, 60), st.integers(1, 5), st.integers(1, 10), proposals)
def test_shrinking_within_any_period_never_exceeds_the_policy(
    current: int, value: int, period: int, asked: list[int]
) -> None:
    policy = {"type": "Pods", "value": value, "periodSeconds": period}
    down: dict[str, Any] = {"stabilizationWindowSeconds": 0, "policies": [policy]}
    rules = Behavior.model_validate({"scaleUp": {"selectPolicy": "Disabled"}, "scaleDown": down})
    sizes = sizes_over_time(current, rules, asked)
    assert all(early - late <= value for early, late in zip(sizes, sizes[period:], strict=False))


@FEW
@given(st.integers(0, 60), behaviors, proposals)
def test_a_disabled_direction_never_moves(current: int, rules: Behavior, asked: list[int]) -> None:
    frozen = rules.model_dump(by_alias=True, exclude_none=True)
    for name in ("scaleUp", "scaleDown"):
        frozen[name] = {**frozen.get(name, {}), "selectPolicy": "Disabled"}
    assert set(sizes_over_time(current, Behavior.model_validate(frozen), asked)) == {current}
