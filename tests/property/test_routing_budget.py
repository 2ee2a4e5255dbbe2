"""The promise of `threshold: Budget`: within two points of the ceiling whenever more queries want to be Complex."""

from collections import deque
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_gateway.budget import WINDOW_SECONDS, Budget

_MARGIN = 0.02
_PART_SECONDS = 30.0
_ENOUGH = 600  # queries: with fewer, chance alone moves the share by a point


class Hour:
    """The same hour by the book: every query by itself."""

    def __init__(self) -> None:
        self.queries: deque[tuple[float, bool]] = deque()
        self.complex = 0

    def add(self, now: float, *, is_complex: bool) -> None:
        self.queries.append((now, is_complex))
        self.complex += is_complex
        while self.queries[0][0] < now - WINDOW_SECONDS:
            self.complex -= self.queries.popleft()[1]

    def share(self) -> float:
        return self.complex / len(self.queries)


phases = st.lists(st.tuples(st.integers(0, 100), st.integers(20, 90)), min_size=1, max_size=4)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 2**16), st.sampled_from([5, 10, 30, 50, 80]), phases, st.sampled_from([1500, 3000]))
def test_the_share_stays_at_the_ceiling(seed: int, ceiling: int, mix: list[tuple[int, int]], rate: int) -> None:
    """Demand jumps between phases of 20 to 90 minutes; the rate is steady, with random arrivals."""
    rng = Random(seed)
    budget, hour, now, checked, lull = Budget(), Hour(), 0.0, 0.0, False
    for percent, minutes in mix:
        end = now + minutes * 60
        lull = lull or percent <= 1.6 * ceiling + 5  # what is not asked for leaves a gap, and an hour later again
        while now < end:
            now += rng.expovariate(rate / WINDOW_SECONDS)
            wanted = rng.random() * 100 < percent
            score = rng.uniform(50, 100) if wanted else rng.uniform(0, 50)
            is_complex = wanted and budget.admits(score, ceiling / 100, now)
            budget.count(score, now, is_complex=is_complex)
            hour.add(now, is_complex=is_complex)
            if len(hour.queries) >= _ENOUGH and now > checked + _PART_SECONDS:
                checked = now
                assert hour.share() <= ceiling / 100 + _MARGIN
                assert lull or hour.share() >= ceiling / 100 - _MARGIN


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 2**16), st.sampled_from([10, 30, 50]))
def test_the_best_scores_go_first(seed: int, ceiling: int) -> None:
    rng = Random(seed)
    budget = Budget()
    scores = [rng.uniform(50, 100) for _ in range(3000)]
    let_through = []
    for number, score in enumerate(scores):
        admitted = budget.admits(score, ceiling / 100, float(number))
        budget.count(score, float(number), is_complex=admitted)
        let_through.append(admitted)
    chosen = [score for score, admitted in zip(scores[500:], let_through[500:], strict=True) if admitted]
    best_mean = 100 - 50 * ceiling / 100 / 2  # of the best `ceiling` percent
    assert sum(chosen) / len(chosen) > best_mean - 3


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    st.integers(0, 2**16),
    st.sampled_from([5, 10, 30, 50]),
    st.lists(st.integers(1, 9), min_size=2, max_size=5),
    st.lists(st.integers(10, 110), max_size=3),
)
def test_gateways_together_keep_the_share_and_a_restart_of_one_too(
    seed: int, ceiling: int, weights: list[int], restarts: list[int]
) -> None:
    """Each keeps its own hour of an uneven part of the queries; at some minutes one of them forgets all."""
    rng = Random(seed)
    gateways = [Budget() for _ in weights]
    due = sorted(minute * 60.0 for minute in restarts)
    hour, now, checked = Hour(), 0.0, 0.0
    while now < 2 * WINDOW_SECONDS:
        now += rng.expovariate(6000 / WINDOW_SECONDS)
        if due and now > due[0]:
            due.pop(0)
            gateways[rng.randrange(len(gateways))] = Budget()
        budget = rng.choices(gateways, weights)[0]
        wanted = rng.random() * 100 < 1.6 * ceiling + 5
        score = rng.uniform(50, 100) if wanted else rng.uniform(0, 50)
        is_complex = wanted and budget.admits(score, ceiling / 100, now)
        budget.count(score, now, is_complex=is_complex)
        hour.add(now, is_complex=is_complex)
        if len(hour.queries) >= _ENOUGH and now > checked + _PART_SECONDS:
            checked = now
            assert abs(hour.share() - ceiling / 100) <= _MARGIN


@given(st.integers(1, 99), st.lists(st.integers(1, 40), min_size=1, max_size=20))
def test_a_gateway_that_forgets_lets_through_one_query_more_each_time_at_most(ceiling: int, lives: list[int]) -> None:
    """The worst case: everything wants to be Complex, and the gateway dies again and again."""
    let_through = 0
    for queries in lives:
        budget = Budget()
        for number in range(queries):
            admitted = budget.admits(100.0, ceiling / 100, float(number))
            budget.count(100.0, float(number), is_complex=admitted)
            let_through += admitted
    assert let_through <= sum(lives) * ceiling / 100 + len(lives) + 1e-9
