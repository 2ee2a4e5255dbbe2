"""A small real shop for the e2e tests: its manifest, how to reach it, how to change it and how to hurt it."""

import asyncio
import base64
import json
import os
import signal
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import psutil
import yaml

from autoglm_api import names
from autoglm_demo.load import Traffic
from autoglm_demo.wire import Wire
from autoglm_localcluster.cluster import Cluster, KubectlError

NAME: Final = "shop"
CONCURRENCY: Final = 4
DRAIN_SECONDS: Final = 20
READY_SECONDS: Final = 150
_QUICK: Final = {
    "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 5}]},
    "scaleDown": {"stabilizationWindowSeconds": 10, "policies": [{"type": "Pods", "value": 4, "periodSeconds": 5}]},
}


def pool(name: str, serves: str, smallest: int, largest: int) -> dict[str, Any]:
    """One pool on the CPU engine; it answers to scaling within seconds."""
    return {
        "name": name,
        "serves": serves,
        "model": {"name": f"glm-shop-{name}", "uri": f"builtin://glm-shop-{name}"},
        "concurrencyPerReplica": CONCURRENCY,
        "drainSeconds": DRAIN_SECONDS,
        "scaling": {
            "minReplicas": smallest,
            "maxReplicas": largest,
            "signals": [{"type": "Concurrency", "target": "3"}],
            "behavior": _QUICK,
        },
        # No processor limit: these tests are about what survives, and should not wait for a slow start.
        "template": {"resources": {"requests": {"cpu": "50m", "memory": "128Mi"}}},
    }


def manifest(namespace: str, *pools: dict[str, Any], gateways: int = 1) -> str:
    """A namespace under the restricted profile with one deployment in it."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    resources = {"requests": {"cpu": "100m", "memory": "64Mi"}}
    spec = {"pools": list(pools), "gateway": {"replicas": gateways, "template": {"resources": resources}}}
    return yaml.safe_dump_all(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}},
            {
                "apiVersion": names.API_VERSION,
                "kind": names.KIND,
                "metadata": {"name": NAME, "namespace": namespace},
                "spec": spec,
            },
        ]
    )


@dataclass(frozen=True)
class Shop:
    """A deployment called `shop` in a namespace of its own."""

    cluster: Cluster
    namespace: str

    @classmethod
    def open(cls, cluster: Cluster, namespace: str, *pools: dict[str, Any], gateways: int = 1) -> "Shop":
        """Apply the manifest and wait until the shop is Ready."""
        cluster.apply(manifest(namespace, *pools, gateways=gateways))
        shop = cls(cluster, namespace)
        shop.kubectl("wait", f"agd/{NAME}", "--for=condition=Ready", f"--timeout={READY_SECONDS}s")
        shop.wait_reachable()
        return shop

    def wait_reachable(self, within_seconds: float = 10) -> None:
        """Wait until the gateway's address takes connections: kube-proxy is a second later than the Ready condition."""
        deadline = monotonic() + within_seconds
        while True:
            try:
                socket.create_connection(self.address, timeout=1).close()
            except OSError:
                if monotonic() > deadline:
                    raise
                sleep(0.1)
            else:
                return

    def close(self) -> None:
        """Delete the shop with everything in it, without waiting for it."""
        self.cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the shop's namespace."""
        return self.cluster.kubectl("--namespace", self.namespace, *arguments, timeout_seconds=READY_SECONDS + 30)

    def get(self, *arguments: str) -> Any:
        """Return `kubectl get` as JSON."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    async def patch(self, *operations: dict[str, Any]) -> None:
        """Change the deployment by JSON patch, without blocking the event loop."""
        patch = json.dumps(list(operations))
        await asyncio.to_thread(self.kubectl, "patch", f"agd/{NAME}", "--type=json", "-p", patch)

    @property
    def address(self) -> tuple[str, int]:
        """Cluster address of the gateway, reachable from the host."""
        service = self.get("service", names.gateway_name(NAME))
        return service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]

    @property
    def url(self) -> str:
        """Base URL of the gateway."""
        host, port = self.address
        return f"http://{host}:{port}"

    def traffic(self) -> Traffic:
        """A load generator at the gateway, with its clock started."""
        traffic = Traffic(Wire(*self.address), NAME)
        traffic.start()
        return traffic

    def pods(self, component: str, pool: str | None = None) -> list[dict[str, Any]]:
        """Pods of the gateway or of the workers that are not being deleted."""
        selector = f"{names.LABEL_COMPONENT}={component}" + (f",{names.LABEL_POOL}={pool}" if pool else "")
        items: list[dict[str, Any]] = self.get("pods", "-l", selector)["items"]
        return [item for item in items if "deletionTimestamp" not in item["metadata"]]

    def ready_pods(self, component: str, pool: str | None = None) -> list[dict[str, Any]]:
        """Those of them that are Ready."""
        return [pod for pod in self.pods(component, pool) if is_ready(pod)]

    async def wait_pods(self, component: str, count: int, pool: str | None = None, within_seconds: float = 90) -> None:
        """Wait until exactly so many pods are there (not being deleted), all Ready."""
        what = f"{count} ready {component} pods"
        await eventually(lambda: self._has(component, count, pool), what, within_seconds)

    def _has(self, component: str, count: int, pool: str | None) -> bool:
        found = self.pods(component, pool)
        return len(found) == count and all(map(is_ready, found))


Opener = Callable[..., Shop]


async def eventually(condition: Callable[[], bool], what: str, within_seconds: float) -> None:
    """Wait until a condition, which may block, holds; raises TimeoutError that says what was waited for."""
    deadline = monotonic() + within_seconds
    while not await asyncio.to_thread(condition):
        if monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {within_seconds:.0f} s")
        await asyncio.sleep(0.5)


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod's Ready condition is True."""
    conditions = pod["status"].get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def sigkill(pod: dict[str, Any]) -> None:
    """SIGKILL the first process of a pod's container on this host; the kernel then ends the whole container.

    Inside the container nothing can kill process 1, so it is found from outside by its container's control group.
    """
    container = pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    inside = [process for process in psutil.process_iter() if container in _cgroup(process.pid)]
    first = next(process for process in inside if _number_in_container(process.pid) == 1)
    os.kill(first.pid, signal.SIGKILL)


def _cgroup(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cgroup").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has ended since
        return ""


def _number_in_container(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("NSpid:"):
            return int(line.split()[-1])
    return 0


def secret(namespace: str, name: str, entries: Mapping[str, str | bytes], kind: str = "Opaque") -> str:
    """The manifest of a Secret with exactly these entries."""
    data = {
        key: base64.b64encode(value.encode() if isinstance(value, str) else value).decode()
        for key, value in entries.items()
    }
    metadata = {"name": name, "namespace": namespace}
    return yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": kind, "data": data})


def gone(cluster: Cluster, *arguments: str) -> bool:
    """Whether an object does not exist."""
    try:
        cluster.kubectl("get", *arguments)
    except KubectlError as error:
        return "NotFound" in str(error)
    return False
