"""Where a figure comes from goes with it, from the reading to the table that a person sees."""

from dataclasses import replace
from typing import Any

import pytest

from autoglm_api.spec import Schedule, Signal, SignalType
from autoglm_operator.scaling.coupling import coupled
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.model import Load
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading, source_of, total
from autoglm_operator.shell.share import Share
from support.scaling_pools import BLIND, NOTHING, scaling, snapshot
from support.scaling_times import at

ASKED = "the gateways themselves"
PART = AtLeast(2000, Problem.PARTIAL, "1 of 2")
SIGNALS = [Signal(type=SignalType.TOKEN_DEMAND, target="1000"), Signal(type=SignalType.CONCURRENCY)]


def direct(milli: int) -> Fresh:
    return Fresh(milli, ASKED)


def sources(*loads: Load, **fields: Any) -> dict[str, str]:
    state, rules = PoolState(), scaling(1, 9, signals=SIGNALS, **fields)
    for tick, load in enumerate(loads):
        decision, state = decide(snapshot(2, load), rules, state, at(5 * tick))
    return {one.signal: one.source for one in decision.proposals}


@pytest.mark.parametrize(
    ("reading", "source"),
    [
        (Fresh(1), "Prometheus"),
        (direct(1), ASKED),
        (PART, "Prometheus"),
        (replace(PART, source=ASKED), ASKED),
        (NOTHING, ""),
        (total(Fresh(1), direct(2)), ASKED),
        (total(direct(1), NOTHING), ASKED),
        (total(NOTHING, PART), "Prometheus"),
        (Share(1, 2).of(direct(4)), ASKED),
        (Share(1, 2).of(replace(PART, source=ASKED)), ASKED),
    ],
)
def test_a_reading_knows_its_source(reading: Reading, source: str) -> None:
    assert source_of(reading) == source


def test_a_source_makes_no_figure_another() -> None:
    assert direct(1) == Fresh(1)
    assert replace(PART, source=ASKED) == PART


def test_figures_of_prometheus_and_of_the_gateways_are_told_apart() -> None:
    mixed = Load(
        queued=Fresh(0),
        in_flight=Fresh(3000),
        queued_tokens=direct(0),
        offered_tokens=direct(900_000),
        offered_tokens_now=direct(900_000),
    )
    assert sources(mixed) == {"TokenDemand": ASKED, "Concurrency": "Prometheus"}
    assert sources(*[replace(mixed, in_flight=direct(milli)) for milli in (1000, 2000)])["Concurrency"] == ASKED


def test_what_is_remembered_through_a_gap_says_so() -> None:
    known = Load(Fresh(0), Fresh(9000), Fresh(0), Fresh(0), Fresh(0))
    assert sources(known, BLIND) == {"TokenDemand": "memory", "Concurrency": "memory"}
    assert sources(BLIND) == {"TokenDemand": "", "Concurrency": ""}


def test_of_a_gap_that_tells_more_than_memory_the_part_is_the_source() -> None:
    known, part = (Load(Fresh(0), one, Fresh(0), Fresh(0), Fresh(0)) for one in (Fresh(1000), PART))
    assert sources(known, part)["Concurrency"] == "Prometheus"
    assert sources(replace(known, in_flight=Fresh(9000)), part)["Concurrency"] == "memory"


def test_a_schedule_comes_from_the_spec() -> None:
    whole_day = [Schedule(name="a", start="00:00", end="12:00", min_replicas=2)]
    assert (
        sources(BLIND, schedules=[*whole_day, Schedule(name="b", start="12:00", end="00:00", min_replicas=2)])[
            "Schedule"
        ]
        == "the spec"
    )


def test_a_shift_of_the_mix_keeps_the_source() -> None:
    def load(long: int, short: int) -> Load:
        return replace(BLIND, offered_tokens=direct(long), offered_tokens_now=direct(short))

    raised = coupled({"light": load(800, 500), "large": load(200, 500)})["large"].offered_tokens
    assert (raised, source_of(raised)) == (Fresh(500), ASKED)
    assert isinstance(NOTHING, NoData)
