"""What the past says about the demand one start-up time from now, believed only while it has proved right.

Demand is kept as means of ten minutes over up to eight days; a mean of which less than half was seen is a gap, and a
gap stays a gap. The forecast is the largest of three:

| forecast | from                                                                                          |
|----------|-----------------------------------------------------------------------------------------------|
| lasting  | the last ten minutes                                                                          |
| seasonal | these, times what the same time of day did a day ago, and a week ago where that is known       |
| trend    | these, plus the slope of the last half hour, damped                                           |

On real traffic the last value alone beats each of the others, so the forecast has to earn its say: over the last day,
at the same distance, it must have left MARGIN less demand uncovered (95th percentile) than the last value did, without
forecasting BIAS too much on the mean. Even then it only ever raises the floor of a pool.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

BIN_SECONDS: Final = 600
DAY: Final = 144
WEEK: Final = 7 * DAY
REMEMBERED: Final = 8 * DAY
LONGEST_STEPS: Final = 7
"""How far a forecast looks, in bins: an hour."""
ENOUGH: Final = DAY // 2
"""So many forecasts must have been put to the test."""
MARGIN: Final = 0.10
BIAS: Final = 0.20
GROWTH: Final = 1.25
"""No forecast is larger than this times the largest demand that is remembered."""
_DAMPING: Final = 0.8
_SLOPE_BINS: Final = 3
_MINUTES_ENOUGH: Final = 5

Means: TypeAlias = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class ForecastState:
    """The demand that is remembered, in thousandths; at most REMEMBERED means."""

    means: Means = ()
    """Means of bins, newest last; None is a gap."""
    bin: int = 0
    """Number of the bin that is being filled: whole BIN_SECONDS since 1970. The last mean belongs to the one before."""
    total: int = 0
    samples: int = 0
    minutes: int = 0
    """Bit n: the bin's minute n was seen."""


class Score(NamedTuple):
    """How a forecast and the last value did over a day."""

    tested: int
    uncovered: float
    """95th percentile of the share of demand that the forecast did not cover."""
    uncovered_by_last: float
    bias: float
    """What was forecast too much, as a share of the demand."""

    @property
    def passes(self) -> bool:
        """Tell whether the forecast may have a say."""
        gains = self.uncovered <= (1 - MARGIN) * self.uncovered_by_last and self.uncovered_by_last > 0
        return self.tested >= ENOUGH and gains and self.bias <= BIAS


def observe(state: ForecastState, now: datetime, demand_milli: int) -> ForecastState:
    """Return the state with the demand of now, in thousandths; a moment before the last one is ignored."""
    seconds = int(now.timestamp())
    number, minute = seconds // BIN_SECONDS, seconds % BIN_SECONDS // 60
    if state.samples and number < state.bin:
        return state
    if number != state.bin:
        state = _closed(state, number)
    return replace(
        state,
        total=state.total + demand_milli,
        samples=state.samples + 1,
        minutes=state.minutes | 1 << minute,
    )


def floor(state: ForecastState, now: datetime, horizon_seconds: float) -> int | None:
    """Return the demand to be ready for, in thousandths, when a rise is forecast by a forecast that has proved right.

    None when the last ten minutes are not known, when no rise is forecast, or when the forecast is not believed.
    """
    means = _known_until(state, now)
    steps = _bin(now.timestamp() + horizon_seconds) - _bin(now.timestamp()) + 1
    last = means[-1] if means else None
    if last is None or not 1 <= steps <= LONGEST_STEPS:
        return None
    expected = _forecast(means, len(means) - 1, steps, _cap(means))
    return expected if expected is not None and expected > last and score(means, steps).passes else None


@lru_cache(maxsize=2048)
def score(means: Means, steps: int) -> Score:
    """Return how forecasts of so many bins ahead did over the last day of the means."""
    tests = list(_tests(means, steps))
    if not tests:
        return Score(0, 0.0, 0.0, 0.0)
    demand = sum(actual for actual, _, _ in tests)
    return Score(
        tested=len(tests),
        uncovered=_p95([_uncovered(actual, forecast) for actual, forecast, _ in tests]),
        uncovered_by_last=_p95([_uncovered(actual, last) for actual, _, last in tests]),
        bias=sum(forecast - actual for actual, forecast, _ in tests) / max(demand, 1),
    )


def _closed(state: ForecastState, number: int) -> ForecastState:
    """Return the state with a new bin open; bins in which nothing was seen are gaps."""
    if not state.samples:
        return ForecastState(bin=number)
    return ForecastState(_known_before(state, number), number)


def _known_until(state: ForecastState, now: datetime) -> Means:
    """Return the means up to the bin before now."""
    number = _bin(now.timestamp())
    return state.means if number <= state.bin else _known_before(state, number)


def _known_before(state: ForecastState, number: int) -> Means:
    mean = state.total // state.samples if state.minutes.bit_count() >= _MINUTES_ENOUGH else None
    gaps = min(max(number - state.bin - 1, 0), REMEMBERED)
    return (*state.means, mean, *([None] * gaps))[-REMEMBERED:]


def _bin(seconds: float) -> int:
    return int(seconds) // BIN_SECONDS


def _tests(means: Means, steps: int) -> Iterator[tuple[int, int, int]]:
    """Yield what came, what was forecast for it and what the last value was, for each bin of the last day."""
    cap = _cap(means)
    for index in range(max(len(means) - DAY, steps), len(means)):
        actual, last = means[index], means[index - steps]
        forecast = _forecast(means, index - steps, steps, cap)
        if actual is not None and last is not None and forecast is not None:
            yield actual, forecast, last


def _forecast(means: Means, index: int, steps: int, cap: int) -> int | None:
    """Return the forecast that was possible at a bin for so many bins later; None without a past to learn from."""
    last = means[index]
    if last is None:
        return None
    seasonal = [_seasonal(means, index, steps, last, period) for period in (DAY, WEEK)]
    known = [value for value in seasonal if value is not None]
    if not known:
        return None
    return max(last, min(max(_trend(means, index, steps, last), *known), cap))


def _seasonal(means: Means, index: int, steps: int, last: int, period: int) -> int | None:
    then, later = _around(means, index - period), _around(means, index - period + steps)
    return None if not then or later is None else int(last * later / then)


def _around(means: Means, index: int) -> float | None:
    """Return the mean of a bin and its neighbours; None where one of them is unknown."""
    if index < 1:
        return None
    near = means[index - 1 : index + 2]
    known = [mean for mean in near if mean is not None]
    return sum(known) / len(known) if len(known) == len(near) else None


def _trend(means: Means, index: int, steps: int, last: int) -> int:
    before = means[index - _SLOPE_BINS] if index >= _SLOPE_BINS else None
    if before is None:
        return last
    slope = (last - before) / _SLOPE_BINS
    return int(last + slope * sum(_DAMPING**step for step in range(1, steps + 1)))


def _cap(means: Means) -> int:
    return int(GROWTH * max((mean for mean in means if mean is not None), default=0))


def _uncovered(actual: int, forecast: int) -> float:
    return max(0.0, (actual - forecast) / actual) if actual > 0 else 0.0


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]
