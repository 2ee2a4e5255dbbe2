"""From EndpointSlices to ready replicas. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from autoglm_api import names
from autoglm_gateway.balance import Address
from autoglm_gateway.fleet import Endpoints


def endpoints_of(slices: Iterable[Mapping[str, Any]]) -> Endpoints:
    """Return the ready replicas of all pools and the number of ready gateways.

    A slice with the pool's label holds replicas; one with the component label `gateway` holds gateways. An address
    counts when it is ready and not terminating; a `ready` that is absent means ready (Kubernetes API).
    """
    replicas: dict[str, dict[Address, str]] = {}
    gateways: set[str] = set()
    for piece in slices:
        labels = piece.get("metadata", {}).get("labels") or {}
        addresses = list(_ready_hosts(piece))
        if (pool := labels.get(names.LABEL_POOL)) is not None:
            port = _port(piece)
            revision = labels.get(names.LABEL_REVISION, "")
            replicas.setdefault(pool, {}).update({Address(host, port): revision for host in addresses})
        elif labels.get(names.LABEL_COMPONENT) == names.COMPONENT_GATEWAY:
            gateways.update(addresses)
    return Endpoints(replicas, max(1, len(gateways)))


def _ready_hosts(piece: Mapping[str, Any]) -> Iterable[str]:
    for endpoint in piece.get("endpoints") or []:
        conditions = endpoint.get("conditions") or {}
        if conditions.get("ready") is not False and not conditions.get("terminating"):
            yield from endpoint.get("addresses") or []


def _port(piece: Mapping[str, Any]) -> int:
    for port in piece.get("ports") or []:
        if port.get("name") == names.PORT_NAME_HTTP and port.get("port"):
            return int(port["port"])
    return names.WORKER_PORT
