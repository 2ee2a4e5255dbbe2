from typing import Any

import pytest

from autoglm_operator.core.repair.drift import drifted


def _pod(**container: Any) -> dict[str, Any]:
    return {"containers": [{"name": "worker", **container}]}


@pytest.mark.parametrize(
    ("ours", "live"),
    [
        ({"a": 1}, {"a": 1, "defaulted": True}),
        ({"resources": {"requests": {"cpu": "0.3"}}}, {"resources": {"requests": {"cpu": "300m"}}}),
        ({"resources": {"limits": {"memory": "1024Mi"}}}, {"resources": {"limits": {"memory": "1Gi"}}}),
        ({"emptyDir": {}, "list": [], "flag": False}, {}),
        (_pod(env=[{"name": "A"}]), _pod(env=[{"name": "INJECTED"}, {"name": "A"}])),
        (_pod(), {"containers": [{"name": "sidecar"}, {"name": "worker", "image": "x"}]}),
        ({"ownerReferences": [{"uid": "1"}]}, {"ownerReferences": [{"uid": "2"}, {"uid": "1"}]}),
        ({"tolerations": [{"key": "gpu", "value": ""}]}, {"tolerations": [{"key": "gpu"}]}),  # "" is not stored
        ({"ports": [{"name": "http", "port": 80}]}, {"ports": [{"name": "http", "port": 80}, {"name": "mine"}]}),
        ({"limits": {"memory": "1024Ti"}}, {"limits": {"memory": "1Pi"}}),
    ],
)
def test_no_drift(ours: dict[str, Any], live: dict[str, Any]) -> None:
    assert drifted(ours, live) == []


@pytest.mark.parametrize(
    ("ours", "live", "paths"),
    [
        ({"a": {"b": 1}}, {"a": {"b": 2}}, ["a.b"]),
        ({"a": {"b": 1}}, {"a": {}}, ["a.b"]),
        ({"a": {"b": 1}}, {}, ["a"]),
        ({"flag": False}, {"flag": True}, ["flag"]),
        ({"emptyDir": {}}, {"emptyDir": "odd"}, ["emptyDir"]),
        (_pod(image="x"), _pod(image="y"), ["containers[worker].image"]),
        (_pod(), {"containers": [{"name": "other"}]}, ["containers[worker]"]),
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "2"}}, ["requests.cpu"]),
        ({"requests": {"cpu": "1"}}, {}, ["requests.cpu"]),
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "1E"}}, ["requests.cpu"]),
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "500u"}}, ["requests.cpu"]),
        ({"requests": {"cpu": "1"}}, {"requests": {"cpu": "odd"}}, ["requests.cpu"]),
        ({"ports": [{"name": "http", "port": 80}]}, {"ports": [{"name": "http", "port": 81}]}, ["ports[http].port"]),
        ({"rules": [{"verbs": ["get"]}]}, {"rules": [{"verbs": ["get", "delete"]}]}, ["rules[0].verbs"]),
        ({"rules": [{"verbs": ["get"]}]}, {"rules": []}, ["rules"]),
        ({"verbs": ["get", "list"]}, {"verbs": ["list", "get"]}, ["verbs[0]", "verbs[1]"]),
    ],
)
def test_drift(ours: dict[str, Any], live: dict[str, Any], paths: list[str]) -> None:
    assert drifted(ours, live) == paths
