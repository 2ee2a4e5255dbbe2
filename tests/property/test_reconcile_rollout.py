"""Bounds of a rollout for every state, also those that no rollout of ours would make."""

from hypothesis import given
from hypothesis import strategies as st

from autoglm_operator.core.rollout import RevisionState, RolloutPlan, plan, surge_of

SIZES = st.integers(0, 40)


@st.composite
def states(draw: st.DrawFn, revision: str) -> RevisionState:
    replicas = draw(SIZES)
    return RevisionState(revision, replicas, draw(st.integers(0, replicas + 2)))


OLD = st.sets(st.sampled_from("abcd"), max_size=3).flatmap(
    lambda revisions: st.tuples(*(states(revision) for revision in sorted(revisions)))
)


def _after(planned: RolloutPlan, state: RevisionState) -> RevisionState:
    size = planned.sizes.get(state.revision, 0)
    return RevisionState(state.revision, size, min(state.lasting, size))


@given(st.integers(1, 40), states("new"), OLD)
def test_ready_replicas_are_kept_up_to_the_desired_size(
    desired: int, new: RevisionState, old: tuple[RevisionState, ...]
) -> None:
    planned = plan(desired, new, old)
    before = sum(state.lasting for state in (new, *old))
    after = sum(_after(planned, state).lasting for state in (new, *old))
    assert after >= min(before, desired)


@given(st.integers(1, 40), states("new"), OLD)
def test_the_total_stays_within_the_surge(desired: int, new: RevisionState, old: tuple[RevisionState, ...]) -> None:
    planned = plan(desired, new, old)
    assert desired <= sum(planned.sizes.values()) <= desired + surge_of(desired)
    assert all(size > 0 for size in planned.sizes.values())


@given(st.integers(1, 40), states("new"), OLD)
def test_every_revision_is_either_sized_or_retired(
    desired: int, new: RevisionState, old: tuple[RevisionState, ...]
) -> None:
    planned = plan(desired, new, old)
    assert planned.sizes.keys() | set(planned.retired) == {new.revision, *(state.revision for state in old)}
    assert not planned.sizes.keys() & set(planned.retired)


@given(st.integers(1, 40), states("new"), OLD)
def test_nothing_changed_means_nothing_to_do(desired: int, new: RevisionState, old: tuple[RevisionState, ...]) -> None:
    planned = plan(desired, new, old)
    left = [_after(planned, state) for state in old if state.revision in planned.sizes]
    again = plan(desired, _after(planned, new), left)
    assert again.sizes == planned.sizes


@given(st.integers(1, 40), states("new"), OLD)
def test_a_rollout_whose_pods_start_comes_to_an_end(
    desired: int, new: RevisionState, old: tuple[RevisionState, ...]
) -> None:
    left = list(old)
    for _ in range(60):
        planned = plan(desired, new, left)
        if not left:
            break
        new = RevisionState(new.revision, planned.sizes[new.revision], planned.sizes[new.revision])
        left = [_after(planned, state) for state in left if state.revision in planned.sizes]
    assert planned == RolloutPlan({"new": desired})
