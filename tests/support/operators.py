"""The operator as a process of its own against a test cluster, with exactly the chart's permissions."""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from autoglm_api import names
from autoglm_localcluster import servers
from autoglm_localcluster.cluster import Cluster, KubectlError
from autoglm_localcluster.ports import free_port
from support.helm import of_kind, rendered
from support.manifests import REPOSITORY, two_pools

USER: Final = "operator-under-test"
GATEWAY_IMAGE: Final = "autoglm/gateway:dev"
NODE_IMAGE: Final = "autoglm/node:dev"
START_SECONDS: Final = 60.0
REPAIR_SECONDS: Final = 10.0
CHILD_KINDS: Final = "deployments,services,configmaps,serviceaccounts,roles,rolebindings,poddisruptionbudgets"

_RBAC: Final = "rbac.authorization.k8s.io"
_ON_FAKE_NODES: Final = {
    "nodeSelector": {names.LABEL_FAKE_GPU: "true"},
    "tolerations": [{"key": names.LABEL_FAKE_GPU, "operator": "Exists", "effect": "NoSchedule"}],
}


@dataclass
class OperatorProcess:
    """A running operator."""

    process: subprocess.Popen[bytes]
    admin_url: str
    log: Path

    def wait_until_ready(self) -> None:
        """Return once it watches; raises TimeoutError with its log."""
        eventually(self._is_ready, START_SECONDS, lambda: self.log.read_text()[-4000:])

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-4000:]
        try:
            return httpx.get(f"{self.admin_url}{names.PATH_READYZ}").status_code == 200
        except httpx.TransportError:
            return False

    def metric(self, name: str) -> float:
        """Return the sum of a metric over its labels."""
        lines = httpx.get(f"{self.admin_url}{names.PATH_METRICS}").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))

    def stop(self) -> int:
        """Ask it to stop; return the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def kill(self) -> None:
        """End it without a word."""
        self.process.kill()
        self.process.wait()


@contextmanager
def running_operator(cluster: Cluster, *, user: str = USER, **environment: str) -> Iterator[OperatorProcess]:
    """Run an operator; whatever state it is in at the end, it is gone."""
    operator = start_operator(cluster, user=user, **environment)
    try:
        operator.wait_until_ready()
        yield operator
    finally:
        if operator.process.poll() is None:
            operator.kill()


def start_operator(cluster: Cluster, *, user: str = USER, **environment: str) -> OperatorProcess:
    """Start an operator that may do what the chart grants, and no more."""
    port = free_port()
    log = cluster.run_dir / "logs" / f"operator-{port}.log"
    variables = {
        **os.environ,
        "KUBECONFIG": str(cluster.kubeconfig_for(user, [servers.AUDITED_GROUP])),
        names.ENV_GATEWAY_IMAGE: GATEWAY_IMAGE,
        names.ENV_NODE_IMAGE: NODE_IMAGE,
        names.ENV_ADMIN_PORT: str(port),
        **environment,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "autoglm_operator"], env=variables, stdout=output, stderr=subprocess.STDOUT
        )
    return OperatorProcess(process, f"http://127.0.0.1:{port}", log)


@pytest.fixture(scope="session")
def installable(control_plane: Cluster) -> Cluster:
    """The control plane with the chart's role for the user that the operator runs as."""
    rules = next(one["rules"] for one in of_kind(rendered(), "ClusterRole") if one["metadata"]["name"] == "autoglm")
    role = {"apiVersion": f"{_RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": USER}, "rules": rules}
    control_plane.apply(yaml.safe_dump_all([role, binding_of("ClusterRoleBinding", USER)]))
    return control_plane


def await_kind(cluster: Cluster, crd_name: str) -> None:
    """Return once a definition is established; `kubectl wait` fails where it has no conditions at all yet."""

    def established() -> bool:
        found = json.loads(cluster.kubectl("get", "crd", crd_name, "-o", "json"))
        conditions = found.get("status", {}).get("conditions") or ()
        return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

    eventually(established, 10, lambda: crd_name)


def binding_of(kind: str, user: str) -> dict[str, Any]:
    """Return what gives a user the operator's role: everywhere, or (RoleBinding) in one namespace."""
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": kind,
        "metadata": {"name": user},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": USER},
        "subjects": [{"apiGroup": _RBAC, "kind": "User", "name": user}],
    }


@pytest.fixture(scope="module")
def crd(installable: Cluster) -> Cluster:
    """The control plane with the CRDs; other modules remove them."""
    for plural in (names.PLURAL, names.SCALE_PLURAL):
        installable.apply((REPOSITORY / "crds" / f"{names.GROUP}_{plural}.yaml").read_text())
        await_kind(installable, f"{plural}.{names.GROUP}")
    return installable


@pytest.fixture(scope="module")
def operator(crd: Cluster) -> Iterator[OperatorProcess]:
    """An operator that runs during a module's tests."""
    with running_operator(crd) as process:
        yield process


@dataclass(frozen=True)
class World:
    """One namespace of a cluster, as the tests look at it."""

    cluster: Cluster
    namespace: str

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the namespace."""
        return self.cluster.kubectl("-n", self.namespace, *arguments)

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Apply manifests as a user does."""
        placed = [{**one, "metadata": {**one["metadata"], "namespace": self.namespace}} for one in manifests]
        self.cluster.apply(yaml.safe_dump_all(placed))

    def patch(self, what: str, patch: object, kind: str = "merge") -> None:
        """Patch an object as a user does, `what` being kind/name."""
        self.kubectl("patch", what, f"--type={kind}", "-p", json.dumps(patch))

    def get(self, what: str) -> dict[str, Any] | None:
        """Return one object, or None."""
        found = self.kubectl("get", what, "--ignore-not-found", "-o", "json")
        return json.loads(found) if found else None

    def find(self, kinds: str, selector: str = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}") -> list[dict[str, Any]]:
        """Return the objects of some kinds that carry our label."""
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kinds, "-l", selector, "-o", "json"))["items"]
        return found

    def children(self) -> set[str]:
        """Return all children as kind/name."""
        found = self.find(f"{CHILD_KINDS},{names.SCALE_PLURAL}")
        return {f"{one['kind']}/{one['metadata']['name']}" for one in found}

    def workers(self, pool: str) -> list[dict[str, Any]]:
        """Return the worker Deployments of a pool, oldest first."""
        found = self.find("deployments", f"{names.LABEL_POOL}={pool}")
        return sorted(found, key=lambda one: one["metadata"]["creationTimestamp"])

    def pods(self, pool: str) -> list[dict[str, Any]]:
        """Return the pods of a pool that are not being deleted."""
        found = self.find("pods", f"{names.LABEL_POOL}={pool}")
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def status(self, name: str = "shop") -> dict[str, Any]:
        """Return the status of a resource, or nothing."""
        found = self.get(f"{names.CRD_NAME}/{name}")
        return {} if found is None else found.get("status", {})

    def condition(self, kind: str, name: str = "shop") -> dict[str, Any]:
        """Return one condition, or nothing."""
        conditions = self.status(name).get("conditions", [])
        return next((one for one in conditions if one["type"] == kind), {})

    def is_ready(self, name: str = "shop") -> bool:
        """Tell whether everything wanted is ready and reported."""
        ready, progressing = self.condition("Ready", name), self.condition("Progressing", name)
        generation = (self.get(f"{names.CRD_NAME}/{name}") or {}).get("metadata", {}).get("generation")
        current = self.status(name).get("observedGeneration") == generation
        return current and ready.get("status") == "True" and progressing.get("status") == "False"

    def until(self, holds: Callable[[], object], seconds: float = REPAIR_SECONDS) -> None:
        """Wait until something holds; raises TimeoutError with the status."""
        eventually(holds, seconds, lambda: json.dumps(self.status(), indent=1))


@pytest.fixture
def world(crd: Cluster) -> Iterator[World]:
    """A namespace of the test's own, under the restricted Pod Security Standard."""
    with namespace_of(crd) as namespace:
        yield World(crd, namespace)


@contextmanager
def namespace_of(cluster: Cluster) -> Iterator[str]:
    """Make a namespace that is deleted afterwards."""
    name = f"t-{uuid.uuid4().hex[:8]}"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    try:
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


def service(name: str = "shop", *, light: int = 1, large: int = 1, gateways: int = 1) -> dict[str, Any]:
    """Return a resource whose pods run on the fake nodes, with the pools' smallest sizes."""
    manifest = two_pools(name)
    spec = manifest["spec"]
    spec["gateway"] = {"replicas": gateways, "template": dict(_ON_FAKE_NODES)}
    for pool, size in zip(spec["pools"], (light, large), strict=True):
        pool |= {
            "scaling": {"minReplicas": size, "maxReplicas": 8},
            "template": dict(_ON_FAKE_NODES),
            "drainSeconds": 1,
        }
    return manifest


def eventually(holds: Callable[[], object], seconds: float, evidence: Callable[[], str]) -> None:
    """Wait until something holds; raises TimeoutError with evidence."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s\n{evidence()}")
        time.sleep(0.1)


def refused(action: Callable[[], object]) -> str:
    """Return what the API server says when it refuses; raises AssertionError when it does not."""
    try:
        action()
    except KubectlError as error:
        return str(error)
    raise AssertionError("the API server accepted it")
