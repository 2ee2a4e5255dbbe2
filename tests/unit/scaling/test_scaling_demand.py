import pytest

from autoglm_operator.scaling.demand import (
    DRAIN_SECONDS,
    ENOUGH,
    HEIGHT_MEMORY,
    RISE_MEMORY,
    SPACING,
    UNKNOWN_SHARE,
    DemandState,
    Need,
    Supply,
    need,
    recurring_height,
    remembered,
    size_for,
    with_backlog,
)
from autoglm_operator.scaling.model import NOT_READ, Load
from autoglm_operator.scaling.readings import AtLeast, Fresh, Problem, Reading
from support.scaling_times import at

MU = 1_000_000
STEP = int(SPACING.total_seconds())


def tokens(offered: Reading, *, now: float | None = None, queued: Reading = Fresh(0)) -> Load:  # noqa: B008 - frozen
    short = NOT_READ if now is None else Fresh(round(now * 1000))
    return Load(NOT_READ, NOT_READ, queued_tokens=queued, offered_tokens=offered, offered_tokens_now=short)


def per_second(rate: float) -> Fresh:
    return Fresh(round(rate * 1000))


def past(*rates: float) -> DemandState:
    state = DemandState()
    for index, rate in enumerate(rates):
        state = remembered(state, tokens(per_second(rate), now=rate), at(index * STEP))
    return state


def needed(
    state: DemandState, rate: float, *, queued: float = 0, ready: int = 10, soon: float = 0, startup: float = 30.0
) -> Need:
    load = tokens(per_second(rate), queued=per_second(queued))
    found = need(load, state, Supply(ready, soon, startup), MU)
    assert found is not None
    return found


def test_nothing_known_needs_nothing() -> None:
    assert need(tokens(NOT_READ), DemandState(), Supply(1, 0, 30.0), MU) is None


def test_a_short_past_gets_a_flat_margin() -> None:
    assert needed(DemandState(), 4000).margin == UNKNOWN_SHARE * 4_000_000


def test_a_steady_past_earns_no_margin() -> None:
    assert needed(past(*[4000] * 20), 4000).margin == 0


def test_the_margin_covers_what_the_rate_usually_rose_within_a_startup_time() -> None:
    waves = past(*[rate for _ in range(20) for rate in (4000, 4200, 4400)])
    assert needed(waves, 4400).margin == 400_000  # 200 per 15 s, 30 s to start


def test_a_rise_that_goes_on_is_expected_to() -> None:
    ramp = past(*range(4000, 8000, 200))
    assert needed(ramp, 8000, startup=120).margin == 2_000_000  # 200 per 15 s, 120 s to start and 30 s of lag
    assert needed(past(*[4000] * 20, *range(4000, 6400, 200)), 6400, startup=120).margin > 1_600_000


def test_where_the_rate_swings_a_trend_ends_at_the_highest_rate_yet() -> None:
    rising = [*[3000] * 100, *range(3000, 7500, 500)]
    lone, swung = past(*rising), past(*[8000] * 8, *[3000] * 8, *[8000] * 8, *rising)
    assert needed(lone, 7000, startup=120).margin > 2_000_000
    assert needed(swung, 7000, startup=120).margin == 1_000_000


def test_a_rise_to_the_level_of_today_promises_no_other() -> None:
    shifted = past(*[1000] * 10, *[8000] * 10)
    assert needed(shifted, 8000).margin == 350_000  # from 1000 to 8000, less what 8000 is beyond SIMILAR times 1000
    assert needed(past(*[1000] * 10, *[8000] * 40), 8000).margin == 0
    assert needed(shifted, 1000).caution == 7_000_000


def test_a_trend_longer_ago_than_the_memory_of_rises_earns_nothing() -> None:
    steps = int(RISE_MEMORY / SPACING) + 2
    assert needed(past(*range(4000, 8000, 200), *[8000] * steps), 8000).margin == 0


@pytest.mark.parametrize(
    ("rates", "height"),
    [
        ((), 0),
        ((4000,) * 20, 0),
        (tuple(range(1000, 9000, 200)), 0),  # one rise, however long
        ((*[1000] * 5, *[8000] * 5, *[1000] * 5), 0),  # one burst
        ((*[1000] * 5, *[8000] * 5, *[1000] * 5, *[6000] * 5), 6000),
        ((*[8000] * 5, *[1000] * 5, *[6000] * 5, *[1000] * 5, *[7000] * 5), 7000),
        ((*[8000] * 5, *[6000] * 5, *[8000] * 5), 0),  # it was never left
        ((*[8000] * 5, *[4000] * 5, *[6000] * 5), 0),  # 6000 is not SWING times 4000
    ],
)
def test_a_height_is_what_was_reached_twice_with_a_valley_between(rates: tuple[float, ...], height: float) -> None:
    assert recurring_height(past(*rates).levels) == height * 1000


def test_a_height_in_short_bursts_counts_as_far_as_full_use_does_not_absorb_it() -> None:
    state = DemandState()
    for index in range(20):
        short = 6600 if index % 5 == 0 else 1000
        state = remembered(state, tokens(per_second(1000), now=short), at(index * STEP))
    assert recurring_height(state.levels) == pytest.approx(6_000_000, abs=1)
    assert needed(state, 1000).caution >= 5_000_000 - 1


@pytest.mark.parametrize(
    ("rate", "backlog", "planned"), [(1000, 0, 1000), (1000, 100, 1000), (1000, 880, 1700), (0, 940, 850)]
)
def test_what_waits_is_worked_off_by_a_pool_at_almost_full_use(rate: int, backlog: int, planned: int) -> None:
    assert with_backlog(rate, backlog) == planned


def test_a_margin_and_a_backlog_are_not_added() -> None:
    ramp = past(*range(4000, 8000, 200))
    calm, little = needed(ramp, 8000), needed(ramp, 8000, queued=10_000, ready=8)
    assert little.backlog > 0
    assert little.milli == calm.milli
    assert needed(ramp, 8000, queued=900_000, ready=8).milli > calm.milli


def bursts(*starts: int, length: int = 8, steps: int = 81, low: float = 1000, high: float = 8000) -> DemandState:
    """Return 20 minutes at a low rate with bursts of two minutes, from these steps on."""
    return past(*[high if any(start <= step < start + length for start in starts) else low for step in range(steps)])


def test_a_lone_burst_counts_in_full_for_five_minutes_and_then_fades() -> None:
    cautions = [needed(bursts(10, steps=steps), 1000, startup=120.0).caution for steps in (24, 30, 40, 60)]
    assert cautions[:2] == [7_000_000, 7_000_000]
    assert cautions[2] < 3_000_000
    assert cautions[3] < 300_000


def test_bursts_that_recur_count_for_as_long_as_they_are_remembered() -> None:
    assert needed(bursts(5, 30, steps=78), 1000).caution == 7_000_000


def test_a_burst_larger_than_what_recurs_fades() -> None:
    state = past(*[1000] * 5, *[9000] * 5, *[1000] * 10, *[2000] * 8, *[1000] * 10, *[2000] * 8, *[1000] * 30)
    assert 1_000_000 <= needed(state, 1000).caution <= 2_000_000


def test_one_long_rise_is_a_trend_that_recurs_in_itself() -> None:
    state = past(*range(1000, 9000, 200), *[9000] * 35)
    assert needed(state, 9000).caution >= 400_000 - 1


def test_short_bursts_beyond_what_full_use_absorbs_widen_the_margin() -> None:
    state = DemandState()
    for index in range(20):
        state = remembered(state, tokens(per_second(4000), now=4000 + 2000 * (-1) ** index), at(index * STEP))
    asked = needed(state, 4000)
    assert asked.margin == asked.caution == 2_000_000  # not beyond the highest burst that was seen


@pytest.mark.parametrize(
    ("queued", "ready", "soon", "left"),
    [
        (0, 1, 0, 0),
        (30_000, 10, 0, 0),  # ten replicas work it off while another would start
        (600_000, 5, 0, 570_000),  # 4000 in and 5000 out in each of 30 s
        (600_000, 0, 5.0, 570_000),  # what starts soon serves as much
        (600_000, 1, 0, 690_000),
    ],
)
def test_what_waits_counts_as_far_as_the_pool_cannot_work_it_off(
    queued: float, ready: int, soon: float, left: int
) -> None:
    found = needed(DemandState(), 4000, queued=queued, ready=ready, soon=soon)
    assert found.backlog == int(left * 1000 / DRAIN_SECONDS)


def test_more_scrapes_make_no_bursts() -> None:
    seldom, often = DemandState(), DemandState()
    for second in range(0, 600, 5):
        third = (4000, 7000, 1000)[second // 5 % 3]
        seldom = remembered(seldom, tokens(per_second(4000), now=4000), at(second))
        often = remembered(often, tokens(per_second(4000), now=third), at(second))
    assert needed(often, 4000).margin == needed(seldom, 4000).margin == 0


def test_part_of_the_load_needs_at_least_its_part() -> None:
    part = AtLeast(5_000_000, Problem.PARTIAL, "half")
    found = need(tokens(part), past(*[5000] * 20), Supply(9, 0, 30.0), MU)
    assert found is not None
    assert found.milli == 5_000_000
    assert remembered(DemandState(), tokens(part), at(0)) == DemandState()


@pytest.mark.parametrize(("rate", "share", "size"), [(8.5, 0.85, 10), (8.501, 0.85, 11), (0, 0.85, 0), (7, 0.7, 10)])
def test_the_fewest_replicas_that_carry_a_rate(rate: float, share: float, size: int) -> None:
    assert size_for(round(rate * 1_000_000), MU, share) == size


def test_the_memory_is_bounded_and_spaced() -> None:
    state = DemandState()
    for second in range(0, 10_000, 5):
        state = remembered(state, tokens(per_second(100)), at(second))
    assert ENOUGH < len(state.levels) <= HEIGHT_MEMORY / SPACING + 1


@pytest.mark.parametrize(
    "rates",
    [[1000] * 10 + [8000] * 10, [*range(1000, 9000, 400)], [1000, 1000, 1000, 6000] * 6, [8000] * 10 + [900] * 10],
)
def test_more_load_never_means_a_smaller_need(rates: list[int]) -> None:
    state = past(*rates)
    needs = [needed(state, rate) for rate in range(200, 15_000, 50)]
    assert [one.milli for one in needs] == sorted(one.milli for one in needs)
    cautious = [one.level + one.caution for one in needs]
    assert cautious == sorted(cautious)
