import pytest

from autoglm_operator.core.rollout import RevisionState, RolloutPlan, plan

NEW, OLD, OLDER = "new", "old", "older"


def _state(revision: str, replicas: int, ready: int) -> RevisionState:
    return RevisionState(revision, replicas, ready)


@pytest.mark.parametrize(
    ("desired", "new", "old", "sizes", "retired"),
    [
        # alone
        (4, (0, 0), [], {NEW: 4}, ()),
        (4, (6, 6), [], {NEW: 4}, ()),
        # the first step: one more pod, nothing taken away
        (4, (0, 0), [(OLD, 4, 4)], {NEW: 1, OLD: 4}, ()),
        (1, (0, 0), [(OLD, 1, 1)], {NEW: 1, OLD: 1}, ()),
        (8, (0, 0), [(OLD, 8, 8)], {NEW: 2, OLD: 8}, ()),
        # a Ready replica of the new revision lets one old one go
        (4, (1, 1), [(OLD, 4, 4)], {NEW: 2, OLD: 3}, ()),
        (4, (3, 3), [(OLD, 1, 1)], {NEW: 4, OLD: 1}, ()),
        # done
        (4, (4, 4), [(OLD, 1, 1)], {NEW: 4}, (OLD,)),
        # the new one is broken: the old one keeps everything, and grows when the pool grows
        (4, (1, 0), [(OLD, 4, 4)], {NEW: 1, OLD: 4}, ()),
        (8, (1, 0), [(OLD, 4, 4)], {NEW: 2, OLD: 8}, ()),
        # the new one breaks half way: the old one gets its share back
        (4, (3, 0), [(OLD, 2, 2)], {NEW: 1, OLD: 4}, ()),
        # the old one is broken: it gives room up, so that a full cluster can heal
        (4, (0, 0), [(OLD, 4, 0)], {NEW: 1, OLD: 3}, ()),
        (1, (0, 0), [(OLD, 1, 0)], {NEW: 1}, (OLD,)),
        # a third revision: the broken second goes first
        (4, (0, 0), [(OLD, 1, 0), (OLDER, 4, 4)], {NEW: 1, OLDER: 4}, (OLD,)),
        (4, (2, 2), [(OLD, 2, 1), (OLDER, 1, 1)], {NEW: 3, OLD: 1, OLDER: 1}, ()),
        # shrinking in the middle
        (2, (2, 1), [(OLD, 3, 3)], {NEW: 2, OLD: 1}, ()),
    ],
)
def test_plan(
    desired: int,
    new: tuple[int, int],
    old: list[tuple[str, int, int]],
    sizes: dict[str, int],
    retired: tuple[str, ...],
) -> None:
    assert plan(desired, _state(NEW, *new), [_state(*one) for one in old]) == RolloutPlan(sizes, retired)


def test_ready_pods_that_a_smaller_size_will_remove_do_not_count() -> None:
    assert plan(4, _state(NEW, 1, 4), [_state(OLD, 4, 4)]).sizes[OLD] == 3
