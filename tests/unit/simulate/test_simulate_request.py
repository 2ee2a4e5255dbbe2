import numpy as np
import pytest

from autoglm_operator.simulate.faults import Faults, parse_fault
from autoglm_operator.simulate.replay import Result, Run
from autoglm_operator.simulate.request import simulate_requests
from autoglm_operator.simulate.service import Service
from autoglm_operator.simulate.static import Static
from autoglm_operator.simulate.stopwatch import Stopwatch
from autoglm_operator.simulate.traces import Queries

PAIR = Service(capacity_tokens=100.0, concurrency=2, batching_gain=1.6, startup_seconds=30.0)
"""Two queries at a time: 100 tokens/s together, 62.5 alone."""


def play(
    *rows: tuple[float, float, float], size: int = 1, faults: str = "", seconds: int = 120
) -> tuple[Result, Stopwatch]:
    at, prompts, outputs = (np.array(column, dtype=np.float64) for column in zip(*rows, strict=True))
    queries = Queries(at, prompts, outputs)
    settings = Run(PAIR, initial=size, faults=Faults.of([parse_fault(faults)] if faults else []))
    return simulate_requests(queries, queries.rates(seconds), lambda: Static(size), settings)


def test_a_query_alone_takes_its_tokens_at_the_speed_of_one() -> None:
    _, watch = play((0.0, 125, 125))
    assert watch.waits == [0.0]
    assert watch.first_tokens == [pytest.approx(2.0)]
    assert watch.per_token == [pytest.approx(1 / 62.5)]


def test_two_answers_share_a_full_batch() -> None:
    _, watch = play((0.0, 0.001, 100), (0.0, 0.001, 100))
    assert watch.per_token == [pytest.approx(1 / 50, rel=0.01)] * 2


def test_a_prompt_is_read_faster_than_an_answer_is_written() -> None:
    _, watch = play((0.0, 0.001, 1000), (0.0, 500, 10))
    assert watch.first_tokens[1] == pytest.approx(500 / (100 * 10 / 11), rel=0.01)


def test_the_third_query_waits_for_a_slot() -> None:
    _, watch = play((0.0, 0.001, 100), (0.0, 0.001, 200), (0.5, 0.001, 100))
    assert watch.waits == [0.0, 0.0, pytest.approx(2.0 - 0.5, rel=0.01)]


def test_the_queue_is_first_come_first_served() -> None:
    _, watch = play(*((0.1 * number, 10.0, 50.0) for number in range(10)))
    starts = [arrival + wait for arrival, wait in zip(watch.arrivals, watch.waits, strict=True)]
    assert starts == sorted(starts)


def test_the_least_loaded_replica_takes_a_query() -> None:
    _, watch = play((0.0, 0.001, 100), (0.0, 0.001, 100), size=2)
    assert watch.per_token == [pytest.approx(1 / 62.5, rel=0.01)] * 2


def test_all_work_is_done_and_counted_once() -> None:
    result, watch = play(*((0.1 * number, 30.0, 50.0) for number in range(40)), size=2)
    assert not np.isnan(watch.waits).any()
    assert not np.isnan(watch.per_token).any()
    assert float(result.within.sum()) == sum(wait <= 2 for wait in watch.waits)


def test_a_lost_replica_returns_its_queries_to_the_head_of_the_queue() -> None:
    rows = [(0.0, 0.001, 300.0), (0.0, 0.001, 300.0), (1.0, 0.001, 10.0)]
    result, watch = play(*rows, faults="nodeloss@3:1")
    assert (result.ready[3], result.ready[33]) == (0, 1)
    assert watch.waits[0] == watch.waits[1] == pytest.approx(30.0)
    assert watch.waits[2] > 32


def test_a_profile_fault_slows_what_is_under_way() -> None:
    _, watch = play((0.0, 0.001, 125), faults="profile@1:0.5")
    assert watch.per_token[0] * 125 == pytest.approx(1 + 2, rel=0.01)


def test_a_query_that_never_starts_is_a_miss() -> None:
    rows = [(0.0, 0.001, 30000.0), (0.0, 0.001, 30000.0), (1.0, 0.001, 10.0)]
    result, _ = play(*rows, seconds=60)
    assert float(result.within.sum()) == 2
    assert result.waits[1] >= 60


def test_a_draining_replica_ends_its_queries_and_keeps_its_gpu_until_then() -> None:
    queries = Queries(np.array([0.0]), np.array([1.0]), np.array([1250.0]))
    script = Static(1)
    run = Run(PAIR, initial=3)
    result, watch = simulate_requests(queries, queries.rates(60), lambda: script, run)
    assert result.ready[1] == 1
    assert result.held[1] == 1
    assert watch.per_token[0] == pytest.approx(1 / 62.5, rel=0.01)
