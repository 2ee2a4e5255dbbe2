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
    """Return the Role: read its ConfigMap, its weights, its Secrets (API keys, TLS, Redis), EndpointSlices; no more.

    The API server lets the operator grant Secrets only where it may read Secrets itself (the chart's
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
    secrets = _secrets(deployment)
    if secrets:
        rules.append({"apiGroups": [""], "resources": ["secrets"], "resourceNames": secrets, "verbs": _READ})
    return _named(deployment, f"{_RBAC}/v1", "Role") | {"rules": rules}


def _secrets(deployment: Deployment) -> list[str]:
    """Return the names of the Secrets that the gateway reads, each once."""
    keys = deployment.spec.gateway.auth.api_keys_secret_ref
    tls = None if deployment.spec.gateway.tls is None else deployment.spec.gateway.tls.secret_ref
    cache = deployment.spec.cache
    redis = None if cache is None or cache.redis is None else cache.redis.url_secret_ref
    return list(dict.fromkeys(one.name for one in (keys, tls, redis) if one is not None))


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
