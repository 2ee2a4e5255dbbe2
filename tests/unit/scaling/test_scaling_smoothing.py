import pytest

from autoglm_operator.scaling.model import NOT_READ, Load
from autoglm_operator.scaling.readings import AtLeast, Fresh, Problem, Reading
from autoglm_operator.scaling.smoothing import Sample, remembered, smoothed
from support.scaling_times import at


def load(short: Reading = NOT_READ, in_flight: Reading = NOT_READ) -> Load:
    return Load(NOT_READ, in_flight, offered_tokens_now=short)


def after(*readings: Reading, tick: int = 5) -> tuple[Load, dict[str, tuple[Sample, ...]]]:
    samples: dict[str, tuple[Sample, ...]] = {}
    for index, reading in enumerate(readings):
        samples = remembered(samples, load(reading, reading), at(index * tick))
    return smoothed(load(readings[-1], readings[-1]), samples), samples


@pytest.mark.parametrize(
    ("told", "short", "in_flight"),
    [
        ([6000], 6000, 6000),
        ([9000, 3000, 6000], 6000, 6000),  # a scrape at every decision
        ([3000, 3000, 3000, 9000], 9000, 6000),  # a scrape at every third: the last is 15 s old
        ([6000] * 20, 6000, 6000),  # nothing changes
        ([9000, 9000, *[1000] * 9], 1000, 1000),
    ],
)
def test_what_is_averaged_over_a_window(told: list[int], short: int, in_flight: int) -> None:
    found, _ = after(*[Fresh(milli) for milli in told])
    assert (found.offered_tokens_now, found.in_flight) == (Fresh(short), Fresh(in_flight))


@pytest.mark.parametrize("gap", [NOT_READ, AtLeast(9000, Problem.PARTIAL, "half")])
def test_what_is_not_complete_stays_as_it_is(gap: Reading) -> None:
    found, samples = after(Fresh(3000), gap)
    assert found.offered_tokens_now == found.in_flight == gap
    assert [sample.milli for sample in samples["in_flight"]] == [3000]


def test_the_memory_is_a_window() -> None:
    _, samples = after(*[Fresh(milli) for milli in range(500)], tick=1)
    assert {name: len(kept) for name, kept in samples.items()} == {"offered_tokens_now": 15, "in_flight": 30}
