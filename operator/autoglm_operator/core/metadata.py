"""Names, labels and owner references that every child carries."""

from autoglm_api import names
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.keys import JSON


def common_labels(deployment: str) -> dict[str, str]:
    """Return the labels by which all children of one resource are found."""
    return {
        names.LABEL_PART_OF: names.PART_OF,
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
        names.LABEL_INSTANCE: names.label_value(deployment),
        names.LABEL_DEPLOYMENT: names.label_value(deployment),
    }


def gateway_labels(deployment: str) -> dict[str, str]:
    """Return the labels of the gateway's objects and pods."""
    return common_labels(deployment) | {
        names.LABEL_NAME: f"{names.PART_OF}-{names.COMPONENT_GATEWAY}",
        names.LABEL_COMPONENT: names.COMPONENT_GATEWAY,
    }


def pool_labels(deployment: str, pool: str) -> dict[str, str]:
    """Return the labels of a pool's objects, whatever the revision."""
    return common_labels(deployment) | {
        names.LABEL_NAME: f"{names.PART_OF}-{names.COMPONENT_WORKER}",
        names.LABEL_COMPONENT: names.COMPONENT_WORKER,
        names.LABEL_POOL: pool,
    }


def revision_labels(deployment: str, pool: str, revision: str) -> dict[str, str]:
    """Return the labels of one pool revision; the EndpointSlices of its Service copy them."""
    return pool_labels(deployment, pool) | {names.LABEL_REVISION: revision}


def owner_reference(name: str, uid: str) -> JSON:
    """Return what makes the resource with that UID the controller of an object."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "name": name,
        "uid": uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def child(deployment: Deployment, api_version: str, kind: str, name: str, labels: dict[str, str]) -> JSON:
    """Return a child without content: the garbage collector removes it when its owner goes."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": deployment.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(deployment.name, deployment.identity.uid)],
        },
    }
