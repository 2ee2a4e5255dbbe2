"""What the chart renders: one object at a time, and a matrix of values on the real API server."""

import json
from typing import Any

import pytest
import yaml

from autoglm_api import generate, names
from autoglm_localcluster.cluster import Cluster
from support.helm import CHART, NAMESPACE, HelmError, helm, of_kind, rendered

pytestmark = pytest.mark.cluster

MATRIX: dict[str, dict[str, Any]] = {
    "defaults": {},
    "watchNamespaces": {"watchNamespaces": ["default", "kube-public"]},
    "no CRDs, no RBAC": {"crds": {"enabled": False}, "rbac": {"create": False, "aggregate": False}},
    "existing account": {"serviceAccount": {"create": False, "name": "mine"}},
    "scheduling": {
        "operator": {
            "nodeSelector": {"kubernetes.io/os": "linux"},
            "tolerations": [{"key": "control", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}},
            "priorityClassName": "system-cluster-critical",
            "podLabels": {"team": "ml"},
            "podAnnotations": {"example.com/a": "b"},
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        }
    },
    "images": {"images": {"registry": "registry.example.com/", "pullSecrets": ["pull"], "node": {"tag": "2"}}},
    "labels": {"commonLabels": {"team": "ml"}, "crds": {"annotations": {"example.com/a": "b"}}},
    "long name": {"fullnameOverride": "n" * 50},
    "no service": {"metrics": {"service": {"enabled": False}}},
}


def _deployment(values: dict[str, Any] | None = None) -> dict[str, Any]:
    (deployment,) = of_kind(rendered(values), "Deployment")
    return deployment


def _environment(values: dict[str, Any]) -> dict[str, str]:
    (container,) = _deployment(values)["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value", "") for entry in container["env"]}


def test_helm_lint_is_strict_and_clean() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


@pytest.mark.parametrize("values", MATRIX.values(), ids=MATRIX.keys())
def test_the_api_server_accepts_the_objects(control_plane: Cluster, values: dict[str, Any]) -> None:
    for document in rendered(values):
        document["metadata"].pop("namespace", None)  # the release's namespace does not exist here
        arguments = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "--validate=strict", "-f", "-")
        answer = control_plane.kubectl(*arguments, "-o", "name", stdin=json.dumps(document))
        assert answer.strip().endswith(document["metadata"]["name"])


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"replicas": 2}, "additional properties 'replicas' not allowed"),
        ({"operator": {"replicaCount": 2}}, "additional properties 'replicaCount' not allowed"),
        ({"images": {"pullPolicy": "Sometimes"}}, "value must be one of 'Always', 'IfNotPresent', 'Never'"),
        ({"scaling": {"intervalSeconds": "5s"}}, "got string, want integer"),
        ({"prometheus": {"url": "prometheus:9090"}}, "does not match pattern"),
    ],
)
def test_wrong_values_are_refused_before_anything_is_installed(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(HelmError, match="values don't meet the specifications of the schema") as refusal:
        rendered(values)
    assert sentence in str(refusal.value)


def test_the_definitions_are_the_generated_ones_and_are_kept() -> None:
    definitions = of_kind(rendered(), "CustomResourceDefinition")
    assert {one["metadata"]["name"] for one in definitions} == {names.CRD_NAME, names.SCALE_CRD_NAME}
    for definition in definitions:
        text = generate.outputs()[f"crds/{names.GROUP}_{definition['spec']['names']['plural']}.yaml"]
        assert definition["spec"] == yaml.safe_load(text)["spec"]
        assert definition["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({}, "autoglm/node:0.1.0"),
        ({"node": {"tag": "dev"}}, "autoglm/node:dev"),
        ({"registry": "r.example.com", "node": {"repository": "ml/node"}}, "r.example.com/ml/node:0.1.0"),
        ({"node": {"tag": "dev", "digest": "sha256:" + "a" * 64}}, "autoglm/node@sha256:" + "a" * 64),
    ],
)
def test_image_references(image: dict[str, Any], reference: str) -> None:
    assert _environment({"images": image})[names.ENV_NODE_IMAGE] == reference


def test_settings_reach_the_operator() -> None:
    settings = _environment(
        {
            "prometheus": {"url": "http://p:9090"},
            "scaling": {"intervalSeconds": 2},
            "watchNamespaces": ["a", "b"],
            "operator": {"resyncSeconds": 60, "logLevel": "DEBUG"},
        }
    )
    assert settings[names.ENV_PROMETHEUS_URL] == "http://p:9090"
    assert settings[names.ENV_SCALING_INTERVAL] == "2"
    assert settings[names.ENV_WATCH_NAMESPACES] == "a,b"
    assert settings[names.ENV_RESYNC_SECONDS] == "60"
    assert settings[names.ENV_LOG_LEVEL] == "DEBUG"


def test_one_operator_at_a_time() -> None:
    spec = _deployment()["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})


def test_selectors_carry_no_version() -> None:
    deployment = _deployment({"commonLabels": {"team": "ml"}})
    selector = deployment["spec"]["selector"]["matchLabels"]
    assert set(selector) == {names.LABEL_NAME, names.LABEL_INSTANCE, names.LABEL_COMPONENT}
    assert selector.items() <= deployment["spec"]["template"]["metadata"]["labels"].items()


def test_namespaces_get_roles_instead_of_a_cluster_role() -> None:
    objects = rendered({"watchNamespaces": ["a", "b"], "rbac": {"aggregate": False}})
    assert {role["metadata"]["namespace"] for role in of_kind(objects, "Role")} == {"a", "b"}
    assert of_kind(objects, "ClusterRole") == []
    asked = [resource for role in of_kind(objects, "Role") for rule in role["rules"] for resource in rule["resources"]]
    assert "nodes" not in asked, "they belong to no namespace; such an operator sizes without a look at them"


def test_no_rule_is_a_wildcard_and_nothing_dangerous_is_granted() -> None:
    (role,) = (role for role in of_kind(rendered(), "ClusterRole") if role["metadata"]["name"] == "autoglm")
    verbs = {verb for rule in role["rules"] for verb in rule["verbs"]}
    resources = {resource for rule in role["rules"] for resource in rule["resources"]}
    assert [rule["verbs"] for rule in role["rules"] if "nodes" in rule["resources"]] == [["list"]]
    assert not verbs & {"*", "escalate", "bind", "impersonate", "deletecollection"}
    assert not resources & {"*", "secrets", "pods/exec", "clusterroles", "clusterrolebindings"}


@pytest.mark.parametrize(("granted", "verbs"), [(False, []), (True, ["get", "list", "watch"])])
def test_secrets_are_read_only_where_gateways_have_keys(verbs: list[str], *, granted: bool) -> None:
    roles = of_kind(rendered({"rbac": {"gatewayKeys": granted}}), "ClusterRole")
    rules = [rule for role in roles for rule in role["rules"] if "secrets" in rule["resources"]]
    assert [verb for rule in rules for verb in rule["verbs"]] == verbs


def test_the_data_plane_monitor_sets_the_series_labels() -> None:
    monitor = {"metrics": {"podMonitor": {"enabled": True, "interval": "2s", "labels": {"release": "p"}}}}
    (pods,) = of_kind(rendered(monitor), "PodMonitor")
    (endpoint,) = pods["spec"]["podMetricsEndpoints"]
    assert {rule["targetLabel"] for rule in endpoint["relabelings"]} >= {
        names.SERIES_LABEL_DEPLOYMENT,
        names.SERIES_LABEL_POOL,
    }
    assert (endpoint["port"], endpoint["interval"]) == (names.PORT_NAME_ADMIN, "2s")
    assert pods["spec"]["selector"]["matchLabels"] == {names.LABEL_MANAGED_BY: names.MANAGED_BY}
    assert pods["metadata"]["labels"]["release"] == "p"


def test_the_notes_name_the_next_command(control_plane: Cluster) -> None:
    notes = helm("install", "notes", str(CHART), "--dry-run=client", "-n", NAMESPACE, cluster=control_plane)
    assert "kubectl apply -f examples/01-two-pools/manifest.yaml" in notes
    assert "WARNING: prometheus.url is empty" in notes
