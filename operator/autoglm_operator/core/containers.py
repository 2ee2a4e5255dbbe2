"""What worker pods and gateway pods have in common: the restricted profile, probes, the user's template."""

from typing import Any, Final

from autoglm_api import names
from autoglm_api.spec import PodTemplate
from autoglm_operator.core.keys import JSON

_USER: Final = 65532
_START_PERIOD_SECONDS: Final = 1
_START_FAILURES: Final = 1800  # a large model loads for minutes; half an hour without being ready is a failure

POD_SECURITY: Final[JSON] = {
    "runAsNonRoot": True,
    "runAsUser": _USER,
    "runAsGroup": _USER,
    "seccompProfile": {"type": "RuntimeDefault"},
}
CONTAINER_SECURITY: Final[JSON] = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}
SCRATCH_VOLUME: Final[JSON] = {"name": "tmp", "emptyDir": {}}
SCRATCH_MOUNT: Final[JSON] = {"name": "tmp", "mountPath": "/tmp"}  # noqa: S108 - an emptyDir of the pod's own


def env(name: str, value: str) -> JSON:
    """Return an environment variable with a fixed value."""
    return {"name": name, "value": value}


def env_from_field(name: str, path: str) -> JSON:
    """Return an environment variable that the kubelet fills from the pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def identity_env(deployment: str) -> list[JSON]:
    """Return what tells a process whom it serves."""
    return [
        env(names.ENV_DEPLOYMENT, deployment),
        env_from_field(names.ENV_NAMESPACE, "metadata.namespace"),
        env_from_field(names.ENV_POD_NAME, "metadata.name"),
    ]


def port(name: str, number: int) -> JSON:
    """Return a container's port by its name (names.PORT_NAME_*)."""
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def ports(http: int, admin: int) -> list[JSON]:
    """Return the two ports that every process of ours has."""
    return [port(names.PORT_NAME_HTTP, http), port(names.PORT_NAME_ADMIN, admin)]


def probes(port: str = names.PORT_NAME_ADMIN) -> JSON:
    """Return the probes, by default on the admin port.

    Ready is polled every second until the model is loaded, so that no second of a scale-up is lost; liveness begins
    only then, so that a long load is never killed.
    """
    ready, alive = _get(names.PATH_READYZ, port), _get(names.PATH_HEALTHZ, port)
    return {
        "startupProbe": {
            **ready,
            "periodSeconds": _START_PERIOD_SECONDS,
            "failureThreshold": _START_FAILURES,
            "timeoutSeconds": 2,
        },
        "readinessProbe": {**ready, "periodSeconds": 2, "failureThreshold": 2, "timeoutSeconds": 2},
        "livenessProbe": {**alive, "periodSeconds": 10, "failureThreshold": 6, "timeoutSeconds": 5},
    }


def _get(path: str, port: str) -> JSON:
    return {"httpGet": {"path": path, "port": port}}


def scrape_annotations(admin_port: int, template: PodTemplate) -> dict[str, str]:
    """Return pod annotations: the user's own, and where Prometheus finds the metrics."""
    return {
        **(template.annotations or {}),
        names.ANNOTATION_SCRAPE: "true",
        names.ANNOTATION_SCRAPE_PORT: str(admin_port),
    }


def placement(template: PodTemplate) -> JSON:
    """Return the part of a pod spec that says where pods may run."""
    written = template.to_json()
    return {key: written[key] for key in ("nodeSelector", "tolerations", "priorityClassName") if key in written}


def resources(template: PodTemplate, default: JSON, gpus: int = 0) -> JSON:
    """Return a container's resources: the user's or the default, and the GPUs as limits."""
    written: dict[str, Any] = template.resources.to_json() if template.resources is not None else default
    if not gpus:
        return written
    return {**written, "limits": {**written.get("limits", {}), names.GPU_RESOURCE: str(gpus)}}
