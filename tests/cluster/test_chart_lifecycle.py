"""Install, use, uninstall and reinstall on a real API server; what the operator's account may and may not do."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from autoglm_api import names
from autoglm_localcluster.cluster import Cluster, KubectlError
from autoglm_operator.core import access
from autoglm_operator.core.deployment import Deployment, parse
from support.helm import CHART, NAMESPACE, HelmError, helm
from support.manifests import REPOSITORY, two_pools

pytestmark = pytest.mark.cluster

CRDS = (names.CRD_NAME, names.SCALE_CRD_NAME)
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:autoglm"


@pytest.fixture(scope="module")
def installed(control_plane: Cluster) -> Iterator[Cluster]:
    control_plane.kubectl("delete", "crd", *CRDS, "--ignore-not-found")
    control_plane.kubectl("create", "namespace", NAMESPACE)
    control_plane.kubectl("label", "namespace", NAMESPACE, "pod-security.kubernetes.io/enforce=restricted")
    _install(control_plane)
    control_plane.kubectl("wait", "--for=condition=Established", f"crd/{names.CRD_NAME}")
    yield control_plane
    _uninstall(control_plane)
    control_plane.kubectl("delete", "crd", *CRDS, "--ignore-not-found")
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _install(cluster: Cluster, *more: str, release: str = "autoglm") -> None:
    helm("install", release, str(CHART), "-n", NAMESPACE, *more, cluster=cluster)


def _uninstall(cluster: Cluster, release: str = "autoglm") -> None:
    helm("uninstall", release, "-n", NAMESPACE, "--ignore-not-found", cluster=cluster)


def _may(cluster: Cluster, verb: str, resource: str, namespace: str = "default") -> bool:
    kind, _, subresource = resource.partition("/")
    arguments = ("auth", "can-i", verb, kind, f"--subresource={subresource}", "-n", namespace, f"--as={ACCOUNT}")
    try:
        return cluster.kubectl(*arguments).strip() == "yes"
    except KubectlError:
        return False


def test_the_operators_pod_is_admitted_by_the_restricted_standard(installed: Cluster) -> None:
    # The pod stays pending, for there is no real node here; what counts is that it exists.
    assert _await_output(installed, "get", "pods", "-n", NAMESPACE, "-o", "name").startswith("pod/autoglm-")


def _await_output(cluster: Cluster, *arguments: str) -> str:
    deadline = time.monotonic() + 20
    while not (output := cluster.kubectl(*arguments)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return output


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("list", names.CRD_NAME),
        ("patch", f"{names.CRD_NAME}/status"),
        ("update", f"{names.CRD_NAME}/finalizers"),
        ("create", names.SCALE_CRD_NAME),
        ("patch", f"{names.SCALE_CRD_NAME}/status"),
        ("list", "horizontalpodautoscalers.autoscaling"),
        ("create", "deployments.apps"),
        ("patch", "deployments.apps/scale"),
        ("delete", "configmaps"),
        ("create", "poddisruptionbudgets.policy"),
        ("create", "roles.rbac.authorization.k8s.io"),
        ("list", "pods"),
        ("create", "events.events.k8s.io"),
    ],
)
def test_the_operator_may(installed: Cluster, verb: str, resource: str) -> None:
    assert _may(installed, verb, resource)


@pytest.mark.parametrize(
    ("verb", "resource"),
    [
        ("get", "secrets"),
        ("list", "secrets"),
        ("create", "pods"),
        ("delete", "pods"),
        ("create", "pods/exec"),
        ("patch", names.CRD_NAME),
        ("delete", names.CRD_NAME),
        ("create", "clusterroles.rbac.authorization.k8s.io"),
        ("escalate", "roles.rbac.authorization.k8s.io"),
        ("bind", "roles.rbac.authorization.k8s.io"),
        ("patch", "nodes"),
        ("deletecollection", "deployments.apps"),
        ("patch", "horizontalpodautoscalers.autoscaling"),
        ("delete", "horizontalpodautoscalers.autoscaling"),
        ("impersonate", "users"),
    ],
)
def test_the_operator_may_not(installed: Cluster, verb: str, resource: str) -> None:
    assert not _may(installed, verb, resource)


def _gateway_role() -> dict[str, Any]:
    body = two_pools()
    body["metadata"] |= {"namespace": "default", "uid": "00000000-0000-0000-0000-000000000000", "generation": 1}
    deployment = parse(body)
    assert isinstance(deployment, Deployment)
    return access.role_for(deployment)


def test_the_operator_can_grant_what_the_gateway_needs_and_no_more(installed: Cluster) -> None:
    def create(role: dict[str, Any]) -> str:
        arguments = ("create", "--dry-run=server", f"--as={ACCOUNT}", "-o", "name", "-f", "-")
        return installed.kubectl(*arguments, stdin=json.dumps(role))

    role = _gateway_role()
    assert create(role).strip().endswith(role["metadata"]["name"])
    role["rules"].append({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]})
    with pytest.raises(KubectlError, match="is attempting to grant RBAC permissions not currently held"):
        create(role)


@pytest.mark.parametrize(
    ("role", "verb", "expected"), [("view", "get", True), ("view", "create", False), ("edit", "create", True)]
)
def test_the_cluster_s_roles_know_the_resource(installed: Cluster, role: str, verb: str, *, expected: bool) -> None:
    rules = json.loads(installed.kubectl("get", "clusterrole", role, "-o", "json"))["rules"]
    found = any(names.PLURAL in rule["resources"] and verb in rule["verbs"] for rule in rules)
    assert found is expected


def test_uninstall_keeps_definition_and_services_and_reinstall_takes_over(installed: Cluster) -> None:
    installed.kubectl("create", "-f", "-", stdin=json.dumps(two_pools("kept")))
    uid = _uid(installed, "kept")
    _uninstall(installed)
    assert "deployment.apps" not in installed.kubectl("get", "deployments", "-n", NAMESPACE, "-o", "name")
    assert installed.kubectl("get", "crd", names.CRD_NAME, "-o", "jsonpath={.metadata.deletionTimestamp}") == ""
    assert _uid(installed, "kept") == uid
    _install(installed)
    assert _uid(installed, "kept") == uid
    installed.kubectl("delete", names.SHORT_NAME, "kept")


def _uid(cluster: Cluster, name: str) -> str:
    return cluster.kubectl("get", names.SHORT_NAME, name, "-o", "jsonpath={.metadata.uid}")


def test_another_release_needs_to_be_told_to_take_the_definition(installed: Cluster) -> None:
    _uninstall(installed)
    without_roles = ("--set", "rbac.aggregate=false", "--set", "serviceAccount.name=other")
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        _install(installed, *without_roles, release="other")
    _install(installed, *without_roles, "--take-ownership", release="other")
    _uninstall(installed, release="other")
    _install(installed, "--take-ownership")


def test_an_upgrade_changes_the_definition(installed: Cluster) -> None:
    installed.kubectl("annotate", "crd", names.CRD_NAME, "example.com/before=yes")
    helm(
        "upgrade", "autoglm", str(CHART), "-n", NAMESPACE, "--set-json", 'crds.annotations={"example.com/after":"yes"}',
        cluster=installed,
    )  # fmt: skip
    metadata = json.loads(installed.kubectl("get", "crd", names.CRD_NAME, "-o", "json"))["metadata"]
    assert metadata["annotations"]["example.com/after"] == "yes"
    assert metadata["annotations"]["example.com/before"] == "yes"


def test_a_namespaced_installation_reaches_only_its_namespaces(installed: Cluster) -> None:
    _uninstall(installed)
    _install(installed, "--set-json", 'watchNamespaces=["default"]')
    assert _may(installed, "create", "deployments.apps", "default")
    assert not _may(installed, "create", "deployments.apps", "kube-public")
    assert not _may(installed, "list", names.CRD_NAME, "kube-public")


def test_a_definition_from_the_plain_file_can_be_taken_over(installed: Cluster) -> None:
    _uninstall(installed)
    installed.kubectl("delete", "crd", *CRDS)
    plain = (REPOSITORY / "crds" / f"{names.GROUP}_{names.PLURAL}.yaml").read_text()
    installed.apply(plain.replace("The pools of workers.", "What an older version said."))
    with pytest.raises(HelmError, match="invalid ownership metadata"):
        _install(installed)
    _install(installed, "--take-ownership", "--force-conflicts")
    assert "The pools of workers." in installed.kubectl("get", "crd", names.CRD_NAME, "-o", "yaml")


def test_a_definition_that_is_not_kept_goes_with_the_release(installed: Cluster) -> None:
    _uninstall(installed)
    installed.kubectl("delete", "crd", *CRDS)
    _install(installed, "--set", "crds.keep=false")
    _uninstall(installed)
    installed.kubectl("wait", "--for=delete", *(f"crd/{name}" for name in CRDS), "--timeout=30s")
