"""How long replicas take to start: told once, and only where it was seen."""

from typing import Any

import pytest

from autoglm_operator.core.pods import Pod, pod_of
from autoglm_operator.core.startups import Startups, handed_out, noticed
from support.worker_pods import worker


def _look(before: Startups | None, *pods: dict[str, Any]) -> Startups:
    return noticed(before, [pod_of(pod) for pod in pods])


def _told(*looks: list[dict[str, Any]]) -> tuple[float, ...]:
    known: Startups | None = None
    for pods in looks:
        known = _look(known, *pods)
    assert known is not None
    return known.fresh.get("light", ())


FLAPPED = worker("a", created=0, ready=900)
FLAPPED_DOWN = worker("a", created=0)
FLAPPED_DOWN["status"]["containerStatuses"][0]["started"] = True


@pytest.mark.parametrize(
    ("looks", "told"),
    [
        pytest.param([[worker("a")], [worker("a", ready=40)]], (40.0,), id="seen from the start"),
        pytest.param([[], [worker("a", ready=40)]], (40.0,), id="ready between two looks"),
        pytest.param([[worker("a", ready=40)]], (), id="ready before the operator came"),
        pytest.param([[worker("a", ready=40)], [worker("a")], [FLAPPED]], (), id="not ready for a while"),
        pytest.param([[FLAPPED_DOWN], [FLAPPED]], (), id="had started before the operator came"),
        pytest.param([[], [worker("a", ready=40)], [worker("a", ready=90)]], (40.0,), id="told once"),
        pytest.param([[], [worker("a", ready=40, restarts=1)]], (), id="needed a restart"),
        pytest.param([[], [worker("a", ready=4000)]], (), id="waited for something else"),
        pytest.param([[], [worker("a", ready=40, deletionTimestamp="x")]], (), id="is being deleted"),
    ],
)
def test_a_start_is_told_once_and_only_a_first_one(looks: list[list[dict[str, Any]]], told: tuple[float, ...]) -> None:
    assert _told(*looks) == told


def test_what_was_handed_out_is_not_told_again() -> None:
    known = _look(_look(None), worker("a", ready=40))
    known = _look(handed_out(known), worker("a", ready=40), worker("b", created=10, ready=30))
    assert known.fresh == {"light": (20.0,)}


def test_what_is_remembered_is_bounded_by_the_pods_that_are_there() -> None:
    known = _look(None)
    for number in range(300):
        known = _look(known, worker(f"pod-{number}", ready=number))
    assert len(known.told | known.expected) == 1
    assert len(known.fresh["light"]) == 100


def test_a_pod_without_conditions_is_not_ready() -> None:
    assert pod_of({"metadata": {"name": "a"}}) == Pod("a", "", "", "", ready=False, live=True, evidence=None)
