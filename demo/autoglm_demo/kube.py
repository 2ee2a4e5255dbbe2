"""Looks at a deployment through the Kubernetes API: readiness, pool sizes, GPU nodes in use."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic
from typing import Any

from kubernetes.aio import client, config

from autoglm_api import names
from autoglm_demo.view import View, view_of

LOOK_SECONDS = 1.0


class Kube:
    """Read access to one cluster for the demo."""

    def __init__(self, api: Any) -> None:
        self._objects = client.CustomObjectsApi(api)
        self._core = client.CoreV1Api(api)

    async def view(self, namespace: str, name: str) -> View:
        """Return the status of a deployment; a missing status is a deployment that is not ready."""
        body = await self._objects.get_namespaced_custom_object(
            names.GROUP, names.VERSION, namespace, names.PLURAL, name
        )
        return view_of(body)

    async def gateway_address(self, namespace: str, deployment: str) -> tuple[str, int]:
        """Cluster address and port of a deployment's gateway Service."""
        service = await self._core.read_namespaced_service(names.gateway_name(deployment), namespace)
        return str(service.spec.cluster_ip), int(service.spec.ports[0].port)

    async def busy_fake_nodes(self, namespace: str) -> int:
        """Fake GPU nodes that carry a running pod of the namespace."""
        pods = await self._core.list_namespaced_pod(
            namespace, label_selector=f"{names.LABEL_COMPONENT}={names.COMPONENT_WORKER}"
        )
        return len({pod.spec.node_name for pod in pods.items if pod.status.phase == "Running"})


@asynccontextmanager
async def connected(kubeconfig: Path) -> AsyncIterator[Kube]:
    """Connect with a kubeconfig file."""
    async with await config.new_client_from_config(config_file=str(kubeconfig)) as api:
        yield Kube(api)


async def wait_ready(kube: Kube, namespace: str, name: str, within_seconds: float) -> View:
    """Wait until a deployment is Ready.

    Raises:
        TimeoutError: it was not, with the message of its Ready condition.
    """
    deadline = monotonic() + within_seconds
    while not (view := await kube.view(namespace, name)).ready:
        if monotonic() > deadline:
            raise TimeoutError(f"{namespace}/{name} was not Ready in {within_seconds:.0f} s: {view.why}")
        await asyncio.sleep(LOOK_SECONDS / 2)
    return view
