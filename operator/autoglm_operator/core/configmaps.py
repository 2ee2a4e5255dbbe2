"""ConfigMaps: what the processes are told."""

import json

from autoglm_api import names
from autoglm_api.config import GatewayConfig, GatewayPool
from autoglm_api.schema import Model
from autoglm_api.spec import Pool
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.desired import may_sleep
from autoglm_operator.core.keys import JSON
from autoglm_operator.core.metadata import child, gateway_labels, revision_labels
from autoglm_operator.core.revision import engine_spec


def engine_config_for(deployment: Deployment, pool: Pool, revision: str) -> JSON:
    """Return the ConfigMap with the engine spec of one pool revision."""
    labels = revision_labels(deployment.name, pool.name, revision)
    name = names.revision_name(deployment.name, pool.name, revision)
    return _config_map(deployment, name, labels, names.NODE_SPEC_KEY, engine_spec(deployment, pool, revision))


def gateway_config_for(deployment: Deployment) -> JSON:
    """Return the ConfigMap that the gateway watches."""
    spec = deployment.spec
    config = GatewayConfig(
        deployment=deployment.name,
        namespace=deployment.namespace,
        pools=[_gateway_pool(pool) for pool in spec.pools],
        routing=spec.routing,
        queue=spec.queue,
        auth=spec.gateway.auth,
        cache=spec.cache,
        tls=spec.gateway.tls,
        access_log=spec.gateway.access_log,
        max_body_bytes=spec.gateway.limits.max_body_bytes,
    )
    name = names.gateway_name(deployment.name)
    return _config_map(deployment, name, gateway_labels(deployment.name), names.GATEWAY_CONFIG_KEY, config)


def _gateway_pool(pool: Pool) -> GatewayPool:
    return GatewayPool(
        name=pool.name,
        serves=pool.serves,
        weight=pool.weight,
        model_name=pool.model.name,
        concurrency_per_replica=pool.concurrency_per_replica,
        may_sleep=may_sleep(pool.scaling),
    )


def _config_map(deployment: Deployment, name: str, labels: dict[str, str], key: str, content: Model) -> JSON:
    text = json.dumps(content.to_json(), indent=2, sort_keys=True) + "\n"
    return child(deployment, "v1", "ConfigMap", name, labels) | {"data": {key: text}}
