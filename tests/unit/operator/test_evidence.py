from typing import Any

import pytest

from autoglm_api import names
from autoglm_operator.core.evidence import evidence_of


def _container(state: dict[str, Any], last: dict[str, Any] | None = None, restarts: int = 0) -> dict[str, Any]:
    container = {"image": "worker:1", "state": state, "lastState": last or {}, "restartCount": restarts}
    return {"status": {"containerStatuses": [container]}}


def _waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"waiting": {"reason": reason, "message": message}}


def _ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


_BACK_OFF = _waiting("CrashLoopBackOff", "back-off 40s")
_SAID = '{"reason": "ModelMissing", "message": "no file model.onnx in /opt/autoglm/models/x"}'


@pytest.mark.parametrize(
    ("pod", "reason", "words"),
    [
        (_container(_waiting("ImagePullBackOff", "Back-off pulling x")), "ImagePullFailed", "Back-off pulling x"),
        (_container(_waiting("ErrImagePull")), "ImagePullFailed", "image worker:1 cannot be pulled"),
        (_container(_waiting("ErrImageNeverPull", "absent")), "ImagePullFailed", "ErrImageNeverPull: absent"),
        (_container(_waiting("CreateContainerConfigError", "no map")), "ContainerCannotStart", "no map"),
        (_container(_BACK_OFF, _ended(1), 3), "CrashLoop", "exit code 1, 3 restarts"),
        (_container(_BACK_OFF, _ended(137, "OOMKilled"), 2), "OutOfMemory", "(OOMKilled), 2 restarts"),
        (_container(_BACK_OFF, _ended(names.EXIT_ENGINE_LOAD, message=_SAID)), "ModelLoadFailed", "no file model.onnx"),
        (_container(_BACK_OFF, _ended(names.EXIT_BAD_REPOSITORY)), "ModelLoadFailed", "exit code 3"),
        (_container(_BACK_OFF, _ended(names.EXIT_BAD_SPEC, message="plain words\n")), "CrashLoop", "plain words"),
        (_container(_ended(names.EXIT_ENGINE_DEAD)), "CrashLoop", "exit code 5"),
        (_container(_BACK_OFF), "CrashLoop", "back-off 40s"),
        (_container(_BACK_OFF, _ended(0, "Completed")), "CrashLoop", "back-off 40s"),
        (_container(_BACK_OFF, _ended(1, message='["odd"]')), "CrashLoop", '["odd"]'),
        (_container(_BACK_OFF, _ended(1, message="x" * 4000)), "CrashLoop", "…"),
    ],
)
def test_what_is_wrong_with_a_pod(pod: dict[str, Any], reason: str, words: str) -> None:
    found = evidence_of(pod)
    assert found is not None
    assert found.reason == reason
    assert words in found.message
    assert len(found.message) <= 512


def test_a_pod_that_no_node_takes() -> None:
    why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes are available"}
    found = evidence_of({"status": {"conditions": [why]}})
    assert (found.reason, found.message) == ("Unschedulable", "0/3 nodes are available") if found else False


@pytest.mark.parametrize(
    "pod",
    [
        {},
        {"status": {}},
        _container({"running": {"startedAt": "now"}}, _ended(1), 5),
        _container(_waiting("ContainerCreating")),
        _container(_ended(0, "Completed")),
    ],
)
def test_nothing_is_wrong_yet(pod: dict[str, Any]) -> None:
    assert evidence_of(pod) is None
