"""Which texts are read together, and that every query gets its own vectors back, in order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_node.embedding.packing import PASS_TOKENS, next_pass
from autoglm_node.embedding.work import Work
from autoglm_node.engine.packing import MAX_PADDING, Batching, Bucket, padding

SMALL = Batching((Bucket(10, 4), Bucket(100, 2)))


@pytest.mark.parametrize(
    ("lengths", "taken"),
    [
        ([5], [0]),
        ([5, 5, 5], [0, 1, 2]),
        ([5, 5, 5, 5, 5], [0, 1, 2, 3]),  # the bucket's cap
        ([5, 90, 5, 91], [0, 2]),  # the oldest with its like
        ([90, 5, 91, 92], [0, 2]),  # long ones in twos
        ([10, 8, 10, 10], [0, 2, 3, 1]),  # 5 % of padding
        ([10, 5], [0]),  # 25 % would be too much
        ([9, 11], [0, 1]),  # together of the next bucket
    ],
)
def test_the_oldest_is_read_with_its_like(lengths: list[int], taken: list[int]) -> None:
    assert next_pass(lengths, SMALL) == taken


def test_one_text_may_be_longer_than_a_pass() -> None:
    assert next_pass([PASS_TOKENS + 1, PASS_TOKENS + 1], Batching()) == [0]


@settings(max_examples=25)
@given(st.lists(st.integers(1, 600), min_size=1, max_size=60))
def test_a_pass_keeps_its_bounds(lengths: list[int]) -> None:
    batching = Batching()
    taken = next_pass(lengths, batching)
    chosen = [lengths[place] for place in taken]
    assert taken[0] == 0
    assert len(set(taken)) == len(taken) <= batching.buckets[batching.bucket_of(max(chosen))].max_batch_size
    assert padding(chosen) <= MAX_PADDING
    assert len(chosen) == 1 or max(chosen) * len(chosen) <= PASS_TOKENS


def encode(texts: list[list[int]]) -> np.ndarray:
    return np.array([[sum(ids), len(ids)] for ids in texts], dtype=np.float32)


def finished(work: Work) -> dict[int, list[list[float]]]:
    answers: dict[int, list[list[float]]] = {}
    while work.waiting:
        answers |= {answer.query: answer.vectors.tolist() for answer in work.step()}
    return answers


@settings(max_examples=25)
@given(st.lists(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=30), min_size=1, max_size=5), max_size=6))
def test_every_query_gets_its_vectors_in_order(queries: list[list[list[int]]]) -> None:
    work = Work(encode, SMALL)  # type: ignore[arg-type]
    for number, texts in enumerate(queries):
        work.submit(number, texts)
    assert finished(work) == {number: encode(texts).tolist() for number, texts in enumerate(queries)}
    assert work.counts.prompt_tokens == sum(len(ids) for texts in queries for ids in texts)
    assert work.counts.padded_tokens >= work.counts.prompt_tokens


def test_texts_of_two_queries_are_read_in_one_pass() -> None:
    work = Work(encode, Batching())  # type: ignore[arg-type]
    work.submit(1, [[1, 2], [3, 4]])
    work.submit(2, [[5, 6]])
    assert {answer.query for answer in work.step()} == {1, 2}
    assert work.counts.passes == 1


def test_a_query_that_is_cancelled_is_read_no_further() -> None:
    work = Work(encode, SMALL)  # type: ignore[arg-type]
    work.submit(1, [[1]] * 5)
    work.submit(2, [[2]])
    assert not work.step(), "four of five are read, none is complete"
    work.cancel(1)
    work.cancel(1)
    assert finished(work) == {2: [[2, 1]]}
    assert work.counts.prompt_tokens == 5
