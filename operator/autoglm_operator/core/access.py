"""Who the gateway is to the API server: a ServiceAccount with the smallest Role that lets it do its work."""

from autoglm_api import names
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.keys import JSON
from autoglm_operator.core.metadata import child, gateway_labels

_READ = ["get", "list", "watch"]
_RBAC = "rbac.authorization.k8s.io"


def account_for(deployment: Deployment) -> JSON:
    """Return the gateway's ServiceAccount; its pods ask for a token themselves."""
    return _named(deployment, "v1", "ServiceAccount") | {"automountServiceAccountToken": False}


def role_for(deployment: Deployment) -> JSON:
    """Return the Role: read its ConfigMap, its weights, the Secret with its API keys, EndpointSlices; nothing else.

    The API server lets the operator grant the Secret only where it may read Secrets itself (the chart's
    `rbac.gatewayKeys`).
    """
    weights = deployment.spec.routing.weights_config_map_ref
    config_maps = [names.gateway_name(deployment.name), *([weights.name] if weights is not None else [])]
    rules = [
        {
            "apiGroups": [""],
            "resources": ["configmaps"],
            "resourceNames": config_maps,
            "verbs": _READ,
        },
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": _READ},
    ]
    keys = deployment.spec.gateway.auth.api_keys_secret_ref
    if keys is not None:
        rules.append({"apiGroups": [""], "resources": ["secrets"], "resourceNames": [keys.name], "verbs": _READ})
    return _named(deployment, f"{_RBAC}/v1", "Role") | {"rules": rules}


def role_binding_for(deployment: Deployment) -> JSON:
    """Return the RoleBinding between the two."""
    name = names.gateway_name(deployment.name)
    return _named(deployment, f"{_RBAC}/v1", "RoleBinding") | {
        "roleRef": {"apiGroup": _RBAC, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": deployment.namespace}],
    }


def _named(deployment: Deployment, api_version: str, kind: str) -> JSON:
    labels = gateway_labels(deployment.name)
    return child(deployment, api_version, kind, names.gateway_name(deployment.name), labels)
