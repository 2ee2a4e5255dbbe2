import itertools

import pytest

from autoglm_api import names
from autoglm_operator.shell.environment import SettingError, read_environment
from autoglm_operator.shell.resources import CHILDREN, CUSTOM, PODS
from autoglm_operator.shell.watches import Forever, owners_of

IMAGES = {names.ENV_GATEWAY_IMAGE: "gateway:1", names.ENV_NODE_IMAGE: "node:1"}


def test_defaults() -> None:
    read = read_environment(IMAGES)
    assert (read.namespaces, read.prometheus_url, read.resync_seconds) == ((), None, 300.0)
    assert (read.admin_port, read.log_level) == (names.OPERATOR_ADMIN_PORT, "INFO")


def test_everything_set() -> None:
    variables = {
        names.ENV_WATCH_NAMESPACES: "a, b,",
        names.ENV_SCALING_INTERVAL: "2.5",
        names.ENV_PROMETHEUS_URL: "http://p",
    }
    read = read_environment(IMAGES | variables)
    assert (read.namespaces, read.scaling_interval_seconds, read.prometheus_url) == (("a", "b"), 2.5, "http://p")


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({names.ENV_NODE_IMAGE: ""}, f"{names.ENV_NODE_IMAGE} is not set"),
        ({names.ENV_RESYNC_SECONDS: "soon"}, f"{names.ENV_RESYNC_SECONDS}='soon' is not a number"),
        ({names.ENV_SCALING_INTERVAL: "0"}, "must be greater than 0"),
        ({names.ENV_SCALING_INTERVAL: "nan"}, "must be greater than 0"),
        ({names.ENV_SCALING_INTERVAL: "31"}, "must be at most 30"),
    ],
)
def test_a_bad_setting_is_named(variables: dict[str, str], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        read_environment(IMAGES | variables)


def test_paths_of_the_api() -> None:
    assert CUSTOM.path(None) == "/apis/autoglm.dev/v1alpha1/autoglmdeployments"
    assert PODS.path("a") == "/api/v1/namespaces/a/pods"
    assert CHILDREN["Deployment"].path("a", "b", "scale") == "/apis/apps/v1/namespaces/a/deployments/b/scale"


def test_a_watch_is_never_given_up() -> None:
    pauses = list(itertools.islice(iter(Forever()), 200))
    assert max(pauses) <= 30
    assert min(pauses[10:]) >= 15


@pytest.mark.parametrize(
    ("metadata", "owners"),
    [
        ({"labels": {names.LABEL_DEPLOYMENT: "shop"}}, {"shop"}),
        (
            {"labels": {names.LABEL_DEPLOYMENT: "x"}, "ownerReferences": [{"kind": names.KIND, "name": "shop"}]},
            {"x", "shop"},
        ),
        ({"ownerReferences": [{"kind": names.KIND, "name": "shop"}, {"kind": "Other", "name": "y"}]}, {"shop"}),
        ({}, set()),
    ],
)
def test_a_childs_event_wakes_its_resource(metadata: dict[str, object], owners: set[str]) -> None:
    assert owners_of({"metadata": metadata}) == owners
