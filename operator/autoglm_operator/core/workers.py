"""The Deployment of one pool revision: worker pods with the node runtime and Triton."""

from pathlib import PurePosixPath
from typing import Final

from autoglm_api import names
from autoglm_api.spec import Pool
from autoglm_operator.core import containers
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.keys import JSON
from autoglm_operator.core.metadata import child, revision_labels
from autoglm_operator.core.revision import image_of, volume_claim
from autoglm_operator.core.settings import Images

# Triton and its Python backend talk through shared memory; the 64 MiB of a container runtime is too little.
_SHARED_MEMORY: Final[JSON] = {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}}


def worker_deployment_for(deployment: Deployment, pool: Pool, revision: str, images: Images) -> JSON:
    """Return the Deployment of one pool revision, without replicas (they belong to the scale writer)."""
    labels = revision_labels(deployment.name, pool.name, revision)
    name = names.revision_name(deployment.name, pool.name, revision)
    annotations = containers.scrape_annotations(names.WORKER_ADMIN_PORT, pool.template)
    spec = {
        "selector": {"matchLabels": labels},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "revisionHistoryLimit": 0,
        "template": {
            "metadata": {"labels": labels | {names.LABEL_CLASS: pool.serves}, "annotations": annotations},
            "spec": _pod_spec(deployment, pool, name, images),
        },
    }
    return child(deployment, "apps/v1", "Deployment", name, labels) | {"spec": spec}


def _pod_spec(deployment: Deployment, pool: Pool, name: str, images: Images) -> JSON:
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": pool.drain_seconds + names.GRACE_MARGIN_SECONDS,
        "securityContext": containers.POD_SECURITY,
        "containers": [_container(deployment, pool, images)],
        "volumes": [
            {"name": "engine", "configMap": {"name": name}},
            containers.SCRATCH_VOLUME,
            _SHARED_MEMORY,
            *_model_volumes(pool),
        ],
        **containers.placement(pool.template),
    }


def _model_volumes(pool: Pool) -> list[JSON]:
    claim = volume_claim(pool.model.uri)
    if claim is None:
        return []
    return [{"name": "model", "persistentVolumeClaim": {"claimName": claim, "readOnly": True}}]


def _container(deployment: Deployment, pool: Pool, images: Images) -> JSON:
    return {
        "name": names.COMPONENT_WORKER,
        "image": image_of(pool, images),
        "imagePullPolicy": images.pull_policy,
        "env": containers.identity_env(deployment.name),
        "ports": [
            *containers.ports(names.WORKER_PORT, names.WORKER_ADMIN_PORT),
            containers.port(names.PORT_NAME_GRPC, names.WORKER_GRPC_PORT),
        ],
        "resources": containers.resources(pool.template, {}, pool.engine.gpus_per_replica),
        "securityContext": containers.CONTAINER_SECURITY,
        "terminationMessagePath": names.TERMINATION_MESSAGE_PATH,
        "volumeMounts": _mounts(pool),
        **containers.probes(),
    }


def _mounts(pool: Pool) -> list[JSON]:
    mounts = [
        {"name": "engine", "mountPath": str(PurePosixPath(names.NODE_SPEC_PATH).parent), "readOnly": True},
        containers.SCRATCH_MOUNT,
        {"name": "shm", "mountPath": "/dev/shm"},  # noqa: S108 - an emptyDir of the pod's own
    ]
    if volume_claim(pool.model.uri) is not None:
        mounts.append({"name": "model", "mountPath": names.MODEL_MOUNT_DIR, "readOnly": True})
    return mounts
