"""The gateway's Deployment."""

from typing import Final

from autoglm_api import names
from autoglm_operator.core import containers
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.keys import JSON
from autoglm_operator.core.metadata import child, gateway_labels
from autoglm_operator.core.settings import Images

# Together with the seconds that endpoints need to catch up this stays below names.GRACE_MARGIN_SECONDS.
_DRAIN_MARGIN_SECONDS: Final = 5
# A gateway that asks for little gets little of a crowded node, and everybody's queries wait for it.
_DEFAULT_RESOURCES: Final[JSON] = {"requests": {"cpu": "250m", "memory": "128Mi"}}


def gateway_deployment_for(deployment: Deployment, images: Images) -> JSON:
    """Return the gateway's Deployment, without replicas (they belong to the scale writer).

    Its configuration is no part of the pods: the gateway follows its ConfigMap, so a changed configuration restarts
    nothing; only whether it speaks TLS is, because that is another port. A rollout never takes a replica away before
    the new one is Ready.
    """
    labels = gateway_labels(deployment.name)
    spec = {
        "selector": {"matchLabels": labels},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "revisionHistoryLimit": 1,
        "template": {
            "metadata": {
                "labels": labels,
                "annotations": containers.scrape_annotations(
                    names.GATEWAY_ADMIN_PORT, deployment.spec.gateway.template
                ),
            },
            "spec": _pod_spec(deployment, images),
        },
    }
    name = names.gateway_name(deployment.name)
    return child(deployment, "apps/v1", "Deployment", name, labels) | {"spec": spec}


def grace_seconds(deployment: Deployment) -> int:
    """Return how long a gateway that goes may take: as long as the slowest pool needs to finish a query."""
    return _longest_drain(deployment) + names.GRACE_MARGIN_SECONDS


def _longest_drain(deployment: Deployment) -> int:
    return max(pool.drain_seconds for pool in deployment.spec.pools)


def _pod_spec(deployment: Deployment, images: Images) -> JSON:
    return {
        "serviceAccountName": names.gateway_name(deployment.name),
        "automountServiceAccountToken": True,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds(deployment),
        "securityContext": containers.POD_SECURITY,
        "topologySpreadConstraints": [_spread(deployment)],
        "containers": [_container(deployment, images)],
        "volumes": [containers.SCRATCH_VOLUME],
        **containers.placement(deployment.spec.gateway.template),
    }


def _spread(deployment: Deployment) -> JSON:
    """Prefer different nodes, but run on one when there is only one."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": gateway_labels(deployment.name)},
    }


def _container(deployment: Deployment, images: Images) -> JSON:
    template = deployment.spec.gateway.template
    config_map = containers.env(names.ENV_CONFIG_MAP, names.gateway_name(deployment.name))
    return {
        "name": names.COMPONENT_GATEWAY,
        "image": template.image or images.gateway,
        "imagePullPolicy": images.pull_policy,
        # The gateway tells clients itself what it must leave; the kubelet's kill at the end of the grace is silent.
        "args": _arguments(deployment),
        "env": [*containers.identity_env(deployment.name), config_map],
        "ports": _ports(deployment),
        "resources": containers.resources(template, _DEFAULT_RESOURCES),
        "securityContext": containers.CONTAINER_SECURITY,
        "volumeMounts": [containers.SCRATCH_MOUNT],
        # A port of its own, where a thread answers: a busy event loop is no reason to take a gateway away.
        **containers.probes(names.PORT_NAME_PROBES),
    }


def _arguments(deployment: Deployment) -> list[str]:
    return [
        *("--drain-seconds", str(_longest_drain(deployment) + _DRAIN_MARGIN_SECONDS)),
        *("--probe-port", str(names.GATEWAY_PROBE_PORT)),
        *(["--tls"] if deployment.spec.gateway.tls is not None else []),
    ]


def _ports(deployment: Deployment) -> list[JSON]:
    plain = containers.port(names.PORT_NAME_HTTP, names.GATEWAY_PORT)
    secure = containers.port(names.PORT_NAME_HTTPS, names.GATEWAY_TLS_PORT)
    return [
        plain if deployment.spec.gateway.tls is None else secure,
        containers.port(names.PORT_NAME_ADMIN, names.GATEWAY_ADMIN_PORT),
        containers.port(names.PORT_NAME_PROBES, names.GATEWAY_PROBE_PORT),
    ]
