import pytest

from autoglm_api import spec
from autoglm_node.engine.packing import Batching, Bucket, InWork, Plan, batching_for, padding, plan

BUCKETS = (Bucket(16, 4), Bucket(64, 2), Bucket(256, 1))
IDLE = (0, 0, 0)


def planned(queue: list[int], budget: int = 1000, work: InWork | None = None) -> Plan:
    return plan(queue, work or InWork(IDLE, 32), Batching(BUCKETS, budget))


@pytest.mark.parametrize(("tokens", "bucket"), [(1, 0), (16, 0), (17, 1), (64, 1), (65, 2), (256, 2), (9999, 2)])
def test_bounds_of_buckets_are_inclusive_and_the_last_is_open(tokens: int, bucket: int) -> None:
    assert Batching(BUCKETS).bucket_of(tokens) == bucket


def test_the_buckets_of_the_seed() -> None:
    caps = [Batching().buckets[Batching().bucket_of(tokens)].max_batch_size for tokens in (511, 512, 1024, 1025)]
    assert caps == [32, 16, 16, 8]


@pytest.mark.parametrize(
    ("queue", "packs"),
    [
        ([8, 8, 8], ((0, 1, 2),)),
        ([8, 40, 8], ((0, 2), (1,))),
        ([10, 5, 10], ((0, 2), (1,))),  # 5 beside 10s would be padding
        ([8] * 6, ((0, 1, 2, 3),)),  # the cap of the bucket
        ([40, 41, 40], ((0, 2),)),
        ([200, 200, 8], ((0,), (2,))),  # the full bucket holds up nobody else
        ([16, 17], ((0,), (1,))),  # never two buckets in one pack
    ],
)
def test_packs(queue: list[int], packs: tuple[tuple[int, ...], ...]) -> None:
    assert planned(queue) == Plan(packs=packs)


def test_what_is_in_work_counts_for_the_cap() -> None:
    assert planned([8, 8, 40], work=InWork((3, 2, 0), 9)).packs == ((0,),)


def test_no_more_than_the_free_slots() -> None:
    assert planned([8, 8, 40, 8], work=InWork(IDLE, 2)).packs == ((0, 1),)


def test_the_budget_counts_padding() -> None:
    assert planned([9, 10, 10], budget=20).packs == ((0, 1),)


@pytest.mark.parametrize(
    ("queue", "chunked", "expected"),
    [
        ([50], 0, Plan(20, 0)),
        ([8, 50], 0, Plan(12, 1, ((0,),))),
        ([50, 8], 0, Plan(12, 0, ((1,),))),  # it gets what is left, and at least half
        ([50, 20], 0, Plan(20, 0)),
        ([], 35, Plan(20)),
        ([8], 35, Plan(10, None, ((0,),))),  # half of the budget for those without chunks
        ([50], 35, Plan(10)),  # one prompt in chunks at a time
        ([8], 4, Plan(4, None, ((0,),))),
    ],
)
def test_chunks(queue: list[int], chunked: int, expected: Plan) -> None:
    assert planned(queue, budget=20, work=InWork(IDLE, 9, chunked)) == expected


def test_padding_is_a_share_of_what_is_read() -> None:
    assert padding([5, 5]) == 0
    assert padding([1, 3]) == pytest.approx(1 / 3)


def test_buckets_of_a_resource_may_come_in_any_order() -> None:
    given = {
        "buckets": [{"maxTokens": 64, "maxBatchSize": 2}, {"maxTokens": 16, "maxBatchSize": 4}],
        "maxQueueDelayMicroseconds": 2000,
        "maxStepTokens": 128,
    }
    expected = Batching((Bucket(16, 4), Bucket(64, 2)), 128, 0.002)
    assert batching_for(spec.Batching.model_validate(given)) == expected


def test_the_defaults_of_the_resource_are_the_defaults_here() -> None:
    assert batching_for(spec.Batching()) == Batching()
