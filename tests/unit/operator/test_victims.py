"""Who goes when a pool shrinks: not ready, then the idlest, then the youngest; and what is written for that."""

import pytest

from autoglm_operator.core.pods import Pod, pod_of
from autoglm_operator.core.victims import COST, marks
from support.worker_pods import worker


def _pod(name: str, *, created: float = 0, ready: bool = True, marked: bool = False) -> Pod:
    annotations = {"controller.kubernetes.io/pod-deletion-cost": COST} if marked else {}
    return pod_of(worker(name, created=created, ready=created + 5 if ready else None, annotations=annotations))


OLD, MIDDLE, YOUNG = _pod("old"), _pod("middle", created=10), _pod("young", created=20)
STARTING = _pod("starting", created=30, ready=False)
THREE = [OLD, MIDDLE, YOUNG]


@pytest.mark.parametrize(
    ("pods", "size", "in_flight", "victims"),
    [
        pytest.param(THREE, 2, {"old": 0, "middle": 3, "young": 2}, {"old"}, id="the idlest"),
        pytest.param(THREE, 1, {"old": 1, "middle": 9, "young": 2}, {"old", "young"}, id="the two idlest"),
        pytest.param(THREE, 2, {"old": 1, "middle": 1, "young": 1}, {"young"}, id="of equals the youngest"),
        pytest.param(THREE, 2, {"middle": 7}, {"middle"}, id="one that tells rather than one that may be busy"),
        pytest.param(THREE, 2, {}, set(), id="nobody tells: the ReplicaSet chooses"),
        pytest.param([*THREE, STARTING], 3, {"old": 0}, set(), id="one that is not ready goes anyway"),
        pytest.param([*THREE, STARTING], 2, {"old": 0, "middle": 1, "young": 2}, {"old"}, id="and one more"),
        pytest.param(THREE, 0, {"old": 0}, set(), id="all go"),
        pytest.param(THREE, 3, {"old": 0}, set(), id="none goes"),
    ],
)
def test_victims(pods: list[Pod], size: int, in_flight: dict[str, int], victims: set[str]) -> None:
    chosen = marks(pods, size, in_flight)
    assert {one.pod.name for one in chosen} == victims
    assert all(one.cost == COST for one in chosen)


def test_a_mark_of_a_shrinking_that_did_not_happen_is_taken_back() -> None:
    busy_now = _pod("old", marked=True)
    chosen = marks([busy_now, MIDDLE, YOUNG], 2, {"old": 9, "middle": 0, "young": 1})
    assert {(one.pod.name, one.cost) for one in chosen} == {("old", None), ("middle", COST)}


def test_a_mark_that_is_right_is_not_written_again() -> None:
    assert marks([_pod("old", marked=True), MIDDLE], 1, {"old": 0, "middle": 4}) == []


def test_the_number_of_writes_is_bounded() -> None:
    pods = [_pod(f"pod-{number}") for number in range(500)]
    assert len(marks(pods, 100, {pod.name: 0 for pod in pods})) == 64
