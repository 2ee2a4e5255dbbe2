"""The gateway follows its ConfigMap and its EndpointSlices on a real API server, with the rights of its Role."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest
from kubernetes.aio import client
from kubernetes.aio.config import load_kube_config

from autoglm_api import names
from autoglm_api.keys import Auth, SecretRef, hash_of
from autoglm_api.routing import Routing, WeightsRef
from autoglm_gateway.balance import Address
from autoglm_gateway.cluster import follow_cluster
from autoglm_gateway.fleet import Fleet
from autoglm_gateway.refusal import RefusalError
from autoglm_localcluster.cluster import Cluster
from autoglm_transport.http import Headers
from support.gateways import DEPLOYMENT, config
from support.raw_http import eventually

pytestmark = pytest.mark.cluster

NAMESPACE = "gateway-follow"
USER = "gateway-under-test"
CONFIG_MAP = names.gateway_name(DEPLOYMENT)
WEIGHTS = "my-weights"
KEYS = "my-keys"


def rights() -> str:
    """The namespace, and a Role like the one that the operator makes."""
    rules = [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": [CONFIG_MAP, WEIGHTS],
            "verbs": ["get", "list", "watch"],
        },
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": [KEYS], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
    ]
    role: dict[str, Any] = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": rules}
    binding: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "gateway"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
    }
    for item in (role, binding):
        item["metadata"] = {"name": "gateway", "namespace": NAMESPACE}
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": [space, role, binding]})


def config_map(**settings: Any) -> str:
    """The gateway's ConfigMap."""
    data = {names.GATEWAY_CONFIG_KEY: json.dumps(config(**settings).to_json())}
    metadata = {"name": CONFIG_MAP, "namespace": NAMESPACE}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def weights(text: str) -> str:
    """The ConfigMap with routing weights."""
    metadata = {"name": WEIGHTS, "namespace": NAMESPACE}
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"weights.json": text}})


def secret(*keys: str) -> str:
    """The Secret with one caller's API keys."""
    entry = json.dumps({"hashes": [hash_of(key) for key in keys], "tenant": "shop"})
    metadata = {"name": KEYS, "namespace": NAMESPACE}
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"web": entry}})


def endpoint_slice(name: str, labels: dict[str, str], hosts: list[str]) -> str:
    """An EndpointSlice of this deployment."""
    return json.dumps(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": name,
                "namespace": NAMESPACE,
                "labels": {names.LABEL_DEPLOYMENT: DEPLOYMENT, **labels},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [host], "conditions": {"ready": True}} for host in hosts],
            "ports": [{"name": names.PORT_NAME_HTTP, "port": names.WORKER_PORT}],
        }
    )


def lets_in(fleet: Fleet, key: str) -> bool:
    """Whether a key is valid."""
    try:
        fleet.callers.who(Headers([(b"authorization", f"Bearer {key}".encode())]))
    except RefusalError:
        return False
    return True


async def test_configuration_and_endpoints_are_followed(control_plane: Cluster) -> None:
    async def apply(manifest: str) -> None:
        await asyncio.to_thread(control_plane.apply, manifest)

    seen = partial(eventually, seconds=30)
    await apply(rights())
    kubeconfig = await asyncio.to_thread(control_plane.kubeconfig_for, USER)

    async def access(configuration: client.Configuration) -> None:
        await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)

    weighed: list[str | None] = []
    fleet = Fleet(weighed=lambda _where, text: weighed.append(text))
    following = asyncio.create_task(
        follow_cluster(fleet, namespace=NAMESPACE, deployment=DEPLOYMENT, config_map=CONFIG_MAP, load_access=access)
    )
    await apply(config_map())
    await seen(lambda: fleet.synced)
    await apply(endpoint_slice("light-1", {names.LABEL_POOL: "light", names.LABEL_REVISION: "r1"}, ["10.9.0.1"]))
    await apply(endpoint_slice("gate", {names.LABEL_COMPONENT: names.COMPONENT_GATEWAY}, ["10.9.1.1", "10.9.1.2"]))
    light = fleet.pools["light"]
    await seen(lambda: light.ready_replicas == 1 and light._gateways == 2)
    assert light._replicas[Address("10.9.0.1", names.WORKER_PORT)].revision == "r1"
    await apply(config_map(max_queries=7))
    await seen(lambda: light.queue.max_queries == 7)
    await apply(config_map(routing=Routing(weights_config_map_ref=WeightsRef(name=WEIGHTS))))
    await seen(lambda: weighed == [None])
    await apply(weights("1"))
    await apply(weights("2"))
    await seen(lambda: weighed[-1] == "2")
    await apply(config_map(auth=Auth(api_keys_secret_ref=SecretRef(name=KEYS))))
    await seen(lambda: fleet.config is not None and fleet.config.auth.api_keys_secret_ref is not None and fleet.synced)
    assert not lets_in(fleet, "old"), "the Secret is not there yet"
    await apply(secret("old", "new"))
    await seen(lambda: lets_in(fleet, "old") and lets_in(fleet, "new"))
    await apply(secret("new"))
    await seen(lambda: not lets_in(fleet, "old"))
    assert lets_in(fleet, "new")
    await asyncio.to_thread(control_plane.kubectl, "-n", NAMESPACE, "delete", "secret", KEYS)
    await seen(lambda: not lets_in(fleet, "new"))
    await asyncio.to_thread(control_plane.kubectl, "-n", NAMESPACE, "delete", "endpointslice", "light-1")
    await seen(lambda: light.ready_replicas == 0)
    assert not following.done()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await asyncio.sleep(0.25)  # aiohttp closes connections over TLS a moment after its session
