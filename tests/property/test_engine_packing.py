"""Whatever waits and works: bounds are kept, and the oldest that may start does."""

from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_node.engine.packing import MAX_PADDING, Batching, Bucket, InWork, padding, plan

CAPS = st.integers(1, 8)
BUCKETS = st.tuples(CAPS, CAPS, CAPS).map(lambda caps: (Bucket(16, caps[0]), Bucket(64, caps[1]), Bucket(256, caps[2])))
BATCHING = st.builds(Batching, BUCKETS, st.integers(1, 300))
QUEUE = st.lists(st.integers(1, 300), max_size=24)
WORK = st.builds(
    InWork, st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4)), st.integers(0, 32), st.integers(0, 300)
)


@settings(max_examples=200)
@given(QUEUE, WORK, BATCHING)
def test_bounds_are_kept(queue: list[int], work: InWork, batching: Batching) -> None:
    planned = plan(queue, work, batching)
    packs = [[queue[place] for place in pack] for pack in planned.packs]
    started = [place for pack in planned.packs for place in pack]
    started += [] if planned.begins is None else [planned.begins]
    assert len(started) == len(set(started)) <= work.free_slots
    assert planned.chunk + sum(len(pack) * max(pack) for pack in packs) <= batching.token_budget
    assert all(padding(pack) <= MAX_PADDING for pack in packs)
    for number, bucket in enumerate(batching.buckets):
        newcomers = [place for place in started if batching.bucket_of(queue[place]) == number]
        assert not newcomers or work.by_bucket[number] + len(newcomers) <= bucket.max_batch_size
    assert work.chunked_tokens == 0 or planned.begins is None
    assert (planned.chunk > 0) is (work.chunked_tokens > 0 or planned.begins is not None)


@settings(max_examples=200)
@given(QUEUE, WORK, BATCHING)
def test_the_oldest_that_may_start_does(queue: list[int], work: InWork, batching: Batching) -> None:
    work = work._replace(chunked_tokens=0)
    planned = plan(queue, work, batching)
    room = [b.max_batch_size - n for b, n in zip(batching.buckets, work.by_bucket, strict=True)]
    may = [place for place, tokens in enumerate(queue) if work.free_slots and room[batching.bucket_of(tokens)] > 0]
    started = {place for pack in planned.packs for place in pack} | {planned.begins}
    assert not may or may[0] in started
