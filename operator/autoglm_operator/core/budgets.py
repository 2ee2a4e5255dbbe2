"""PodDisruptionBudgets: a drained node takes one replica at a time.

`maxUnavailable: 1` (not `minAvailable`) also at one replica: it slows an eviction but never blocks the drain of a node.
"""

from autoglm_api import names
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.keys import JSON
from autoglm_operator.core.metadata import child, gateway_labels, pool_labels


def gateway_budget_for(deployment: Deployment) -> JSON:
    """Return the gateway's budget."""
    return _budget(deployment, names.gateway_name(deployment.name), gateway_labels(deployment.name))


def pool_budget_for(deployment: Deployment, pool: str) -> JSON:
    """Return a pool's budget, over all its revisions."""
    return _budget(deployment, names.pool_budget_name(deployment.name, pool), pool_labels(deployment.name, pool))


def _budget(deployment: Deployment, name: str, labels: dict[str, str]) -> JSON:
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": labels}, "unhealthyPodEvictionPolicy": "AlwaysAllow"}
    return child(deployment, "policy/v1", "PodDisruptionBudget", name, labels) | {"spec": spec}
