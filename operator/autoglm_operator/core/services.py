"""Services: a stable door for the gateway, a headless one per pool revision."""

from autoglm_api import names
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.keys import JSON
from autoglm_operator.core.metadata import child, gateway_labels, revision_labels


def revision_service_for(deployment: Deployment, pool: str, revision: str) -> JSON:
    """Return the headless Service of one pool revision: its EndpointSlices carry pool and revision as labels."""
    labels = revision_labels(deployment.name, pool, revision)
    name = names.revision_name(deployment.name, pool, revision)
    spec = {
        "clusterIP": "None",
        "selector": labels,
        "publishNotReadyAddresses": False,
        "ports": [
            _port(names.PORT_NAME_HTTP, names.WORKER_PORT),
            _port(names.PORT_NAME_GRPC, names.WORKER_GRPC_PORT),
        ],
    }
    return child(deployment, "v1", "Service", name, labels) | {"spec": spec}


def gateway_service_for(deployment: Deployment) -> JSON:
    """Return the Service that clients talk to: over TLS only, where the resource names a certificate.

    Its target is the port's name: while gateways are replaced, those that do not speak what is wanted get no queries.
    """
    labels = gateway_labels(deployment.name)
    plain = _port(names.PORT_NAME_HTTP, names.SERVICE_PORT)
    secure = _port(names.PORT_NAME_HTTPS, names.SERVICE_TLS_PORT)
    port = plain if deployment.spec.gateway.tls is None else secure
    spec = {"type": "ClusterIP", "selector": labels, "ports": [port]}
    return child(deployment, "v1", "Service", names.gateway_name(deployment.name), labels) | {"spec": spec}


def _port(name: str, port: int) -> JSON:
    return {"name": name, "port": port, "targetPort": name, "protocol": "TCP"}
