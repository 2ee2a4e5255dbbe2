"""What the other tests build on: the control plane, fake nodes and their failures, identities, the audit log."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from autoglm_api import names
from autoglm_localcluster.cluster import Cluster, KubectlError
from autoglm_localcluster.controlplane import ControlPlane
from autoglm_localcluster.paths import RunDir

pytestmark = pytest.mark.cluster
NAMESPACE = "localcluster-checks"


@pytest.fixture(scope="module")
def cluster(control_plane: Cluster) -> Iterator[Cluster]:
    control_plane.kubectl("create", "namespace", NAMESPACE)
    yield control_plane
    control_plane.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def fake_pod(name: str, **annotations: str) -> str:
    keys = {"failure": names.ANNOTATION_FAKE_FAILURE, "start_seconds": names.ANNOTATION_FAKE_START_SECONDS}
    metadata = {
        "name": name,
        "namespace": NAMESPACE,
        "annotations": {keys[key]: value for key, value in annotations.items()},
    }
    spec = {
        "tolerations": [{"key": names.LABEL_FAKE_GPU, "operator": "Exists"}],
        "containers": [{"name": "worker", "image": "nowhere/image:1"}],
    }
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})


def pod(cluster: Cluster, name: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "pod", name, "-o", "json"))
    return body


def await_state(cluster: Cluster, name: str, state: str, reason: str | None = None) -> dict[str, Any]:
    """Wait until the pod's container is in the state (with the reason, if one is asked for)."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for status in pod(cluster, name)["status"].get("containerStatuses", []):
            if state in status["state"] and reason in (None, status["state"][state].get("reason")):
                found: dict[str, Any] = status
                return found
        time.sleep(0.2)
    pytest.fail(f"{name} did not get to {state} {reason}: {pod(cluster, name)['status']}")


def test_the_start_delay_keeps_a_running_pod_from_being_ready(cluster: Cluster) -> None:
    cluster.apply(fake_pod("slow", start_seconds="4"))
    assert await_state(cluster, "slow", "running")["ready"] is False
    cluster.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "pod/slow", "--timeout=30s")
    conditions = {condition["type"]: condition for condition in pod(cluster, "slow")["status"]["conditions"]}
    started = pod(cluster, "slow")["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    assert conditions["Ready"]["lastTransitionTime"] > started


@pytest.mark.parametrize(
    ("failure", "reason", "exit_code"),
    [("crash", "CrashLoopBackOff", 1), ("oom", "CrashLoopBackOff", 137), ("image", "ImagePullBackOff", None)],
)
def test_failures_look_as_a_kubelet_reports_them(
    cluster: Cluster, failure: str, reason: str, exit_code: int | None
) -> None:
    cluster.apply(fake_pod(f"bad-{failure}", failure=failure))
    status = await_state(cluster, f"bad-{failure}", "waiting", reason)
    assert status["ready"] is False
    assert status.get("lastState", {}).get("terminated", {}).get("exitCode") == exit_code


def test_a_pod_recovers_when_its_failure_is_taken_away(cluster: Cluster) -> None:
    cluster.apply(fake_pod("ill", failure="crash"))
    await_state(cluster, "ill", "waiting", "CrashLoopBackOff")
    cluster.kubectl("-n", NAMESPACE, "annotate", "pod/ill", f"{names.ANNOTATION_FAKE_FAILURE}-")
    cluster.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "pod/ill", "--timeout=30s")


def test_a_healthy_pod_can_be_made_to_fail(cluster: Cluster) -> None:
    cluster.apply(fake_pod("well"))
    cluster.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", "pod/well", "--timeout=30s")
    cluster.kubectl("-n", NAMESPACE, "annotate", "pod/well", f"{names.ANNOTATION_FAKE_FAILURE}=oom")
    status = await_state(cluster, "well", "waiting", "CrashLoopBackOff")
    assert status["lastState"]["terminated"]["reason"] == "OOMKilled"


def test_pods_without_the_toleration_stay_off_fake_nodes(cluster: Cluster) -> None:
    body = yaml.safe_load(fake_pod("homeless"))
    del body["spec"]["tolerations"]
    cluster.apply(yaml.safe_dump(body))
    cluster.kubectl("-n", NAMESPACE, "wait", "--for=condition=PodScheduled=false", "pod/homeless", "--timeout=30s")


def test_another_user_has_only_his_own_rights(cluster: Cluster) -> None:
    stranger = cluster.kubeconfig_for("stranger", ["nobodies"])
    with pytest.raises(KubectlError, match='User "stranger" cannot list'):
        cluster.kubectl("--kubeconfig", str(stranger), "get", "secrets", "--all-namespaces")


def test_the_audit_log_tells_who_wrote_what(cluster: Cluster) -> None:
    cluster.kubectl("-n", NAMESPACE, "create", "configmap", "written", "--from-literal=key=value")
    entries = [json.loads(line) for line in cluster.audit_log.read_text().splitlines()]
    (entry,) = [entry for entry in entries if entry.get("objectRef", {}).get("name") == "written"]
    assert entry["user"]["username"] == "admin"
    assert entry["requestObject"]["data"] == {"key": "value"}


def test_a_second_control_plane_runs_beside_and_recovers_from_a_crash(cluster: Cluster, tmp_path: Path) -> None:
    run = RunDir(tmp_path / "second")
    try:
        first = ControlPlane.start(run)
        first.kubectl("create", "namespace", "lost")
        for file in run.pids.glob("*.pid"):
            os.kill(json.loads(file.read_text())["pid"], 9)
        assert not ControlPlane.is_running(run)
        second = ControlPlane.start(run)
        assert second.server_url != cluster.server_url
        assert "lost" not in second.kubectl("get", "namespaces", "-o", "name")
    finally:
        ControlPlane.stop(run)
    assert not ControlPlane.is_running(run)
    assert cluster.kubectl("get", "namespaces", "-o", "name")
