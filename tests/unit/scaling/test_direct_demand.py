from typing import Any

import pytest

from autoglm_api.config import ClassDemand, Demand, PoolDemand
from autoglm_api.spec import QueryClass
from autoglm_operator.scaling.model import Load, PoolTarget
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading
from autoglm_operator.shell.demand import Gateway, Rate, load_of
from autoglm_operator.shell.loads import is_called, is_known, merged, unread
from autoglm_operator.shell.share import ALL, Share, share_of
from support.scaling_pools import NOTHING, fresh_load, scaling

SILENT = NoData(Problem.TIMEOUT, "no answer")


def said(queued: int, tokens: int) -> Demand:
    pool = PoolDemand(
        pool="light", queued=queued, in_flight=2, ready_replicas=1, queued_tokens=70, served_tokens=tokens
    )
    return Demand(pools=[pool], offered=[ClassDemand(query_class=QueryClass.SIMPLE, queries=1, tokens=tokens)])


def gateway(*looks: tuple[float, int]) -> Gateway:
    made = Gateway()
    for at, tokens in looks:
        made.take(said(3, tokens), at)
    return made


def light(*gateways: Gateway, share: Share = ALL) -> Load:
    return load_of(gateways, "light", QueryClass.SIMPLE, share)


def rate_of(looks: list[tuple[float, int]], seconds: float) -> Reading:
    rate = Rate()
    for at, count in looks:
        rate.look(at, count)
    return rate.per_second(seconds)


STEADY = [(float(at), at * 5) for at in range(0, 200, 5)]


@pytest.mark.parametrize(
    ("looks", "seconds", "rate"),
    [
        (STEADY, 60, 5000),
        (STEADY, 10, 5000),
        ([*STEADY, (200.0, 1975)], 10, 102_500),
        ([*STEADY, (200.0, 1975)], 60, 21_250),
        ([(0, 1000), (5, 3), (10, 13)], 60, 2000),  # began anew: what was before does not count
        ([(0, 0), (400, 4000), (405, 4050)], 60, 10_000),  # nobody looked for long
    ],
)
def test_a_rate_is_taken_between_looks(looks: list[tuple[float, int]], seconds: float, rate: int) -> None:
    assert rate_of(looks, seconds) == Fresh(rate)


@pytest.mark.parametrize("looks", [[(1.0, 5)], [(1.0, 5), (2.0, 3)], [(1.0, 5), (100.0, 9)], [(1.0, 5), (1.0, 9)]])
def test_one_look_is_no_rate(looks: list[tuple[float, int]]) -> None:
    assert isinstance(rate_of(looks, 10), NoData)


def test_gateways_add_up_and_say_where_it_comes_from() -> None:
    load = light(gateway((0, 0), (10, 100)), gateway((0, 0), (10, 50)))
    assert (load.queued, load.in_flight, load.queued_tokens) == (Fresh(6000), Fresh(4000), Fresh(140_000))
    assert (load.offered_tokens, load.served_tokens) == (Fresh(15_000), Fresh(15_000))
    assert isinstance(load.queued, Fresh)
    assert load.queued.source == "the gateways themselves"


def test_a_silent_gateway_makes_the_figure_a_lower_bound() -> None:
    silent = Gateway()
    silent.take(SILENT, 0)
    assert light(gateway((0, 0)), silent).queued == AtLeast(3000, Problem.TIMEOUT, "no answer")
    assert light(silent).queued == SILENT
    assert isinstance(light().queued, NoData)
    assert isinstance(load_of([gateway((0, 0))], "unknown", QueryClass.SIMPLE, ALL).queued, NoData)


def pools(**given: dict[str, Any]) -> dict[str, PoolTarget]:
    return {
        name: PoolTarget(scaling(0, 9), fields.pop("current", 1), 0, rolling_out=False, **fields)
        for name, fields in given.items()
    }


@pytest.mark.parametrize(
    ("given", "share"),
    [
        ({"light": {}}, 1),
        ({"light": {}, "large": {"serves": QueryClass.COMPLEX}}, 1),
        ({"light": {"weight": 1}, "twin": {"weight": 3}}, 0.25),
        ({"light": {"weight": 1}, "twin": {"weight": 3, "current": 0}}, 1),
        ({"light": {"current": 0}, "twin": {}}, 0),
        ({"light": {"current": 0}, "twin": {"current": 0}}, 0.5),
    ],
)
def test_a_class_is_shared_by_weight_among_those_awake(given: dict[str, dict[str, Any]], share: float) -> None:
    assert share_of("light", pools(**given)).of(Fresh(8000)) == Fresh(round(8000 * share))


def test_a_share_of_what_is_not_known() -> None:
    assert Share(1, 4).of(AtLeast(8000, Problem.PARTIAL, "x")) == AtLeast(2000, Problem.PARTIAL, "x")
    assert Share(1, 4).of(SILENT) == SILENT


def test_the_better_known_figure_is_taken() -> None:
    part = AtLeast(1000, Problem.PARTIAL, "x")
    first = Load(queued=part, in_flight=Fresh(5000), signals={"KVCacheUse": NOTHING, "Prometheus": Fresh(1)})
    second = Load(queued=Fresh(3000), in_flight=Fresh(9000), served_tokens=part, signals={"KVCacheUse": Fresh(7)})
    both = merged(first, second)
    assert (both.queued, both.in_flight, both.served_tokens) == (Fresh(3000), Fresh(5000), part)
    assert both.signals == {"KVCacheUse": Fresh(7), "Prometheus": Fresh(1)}


def test_an_unread_load_knows_nothing() -> None:
    target = pools(light={})["light"]
    load = unread(SILENT, target)
    assert load.offered_tokens == load.queued == SILENT
    assert set(load.signals) == {signal.key for signal in target.scaling.signals}
    assert not is_known(load)


@pytest.mark.parametrize(
    ("load", "does"),
    [
        (fresh_load(1), True),
        (fresh_load(0), False),
        (Load(SILENT, SILENT), False),
        (Load(SILENT, SILENT, offered_tokens=Fresh(1)), True),
    ],
)
def test_who_calls(load: Load, *, does: bool) -> None:
    assert is_called(load) is does
