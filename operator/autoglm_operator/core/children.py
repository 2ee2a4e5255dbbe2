"""Every child that should exist, and every Deployment's size."""

from collections.abc import Iterable, Mapping

from autoglm_api import names
from autoglm_operator.core.access import account_for, role_binding_for, role_for
from autoglm_operator.core.budgets import gateway_budget_for, pool_budget_for
from autoglm_operator.core.configmaps import engine_config_for, gateway_config_for
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.gateway import gateway_deployment_for
from autoglm_operator.core.keys import JSON, ChildRef
from autoglm_operator.core.pool_scale import POOL_SCALE, is_external, pool_scale_for, scale_ref
from autoglm_operator.core.pools import PoolPlan
from autoglm_operator.core.services import gateway_service_for, revision_service_for
from autoglm_operator.core.settings import Images
from autoglm_operator.core.workers import worker_deployment_for

DEPLOYMENT = "Deployment"
KINDS = ("ConfigMap", "ServiceAccount", "Role", "RoleBinding", "Service", "PodDisruptionBudget", POOL_SCALE, DEPLOYMENT)
"""Kinds of children, in the order in which they are written: what pods need comes before them."""

_REVISION_KINDS = ("ConfigMap", "Service", DEPLOYMENT)


def children_of(deployment: Deployment, pools: Iterable[PoolPlan], images: Images) -> tuple[JSON, ...]:
    """Return all children that can be made from the spec, in writing order.

    The older revisions of a running rollout are not among them: their spec is history. Their Services are, which
    depend on names only.
    """
    found = [
        gateway_config_for(deployment),
        account_for(deployment),
        role_for(deployment),
        role_binding_for(deployment),
        gateway_service_for(deployment),
        gateway_budget_for(deployment),
        gateway_deployment_for(deployment, images),
    ]
    for plan in pools:
        found += _pool_children(deployment, plan, images)
    return tuple(sorted(found, key=lambda body: KINDS.index(body["kind"])))


def _pool_children(deployment: Deployment, plan: PoolPlan, images: Images) -> list[JSON]:
    pool, revision = plan.pool, plan.revision
    return [
        engine_config_for(deployment, pool, revision),
        *(revision_service_for(deployment, pool.name, one) for one in plan.rollout.sizes),
        pool_budget_for(deployment, pool.name),
        *([pool_scale_for(deployment, pool)] if is_external(pool) else []),
        worker_deployment_for(deployment, pool, revision, images),
    ]


def sizes_of(deployment: Deployment, pools: Iterable[PoolPlan]) -> Mapping[ChildRef, int]:
    """Return the size of every Deployment that stays, and of every AutoGLMPoolScale that has none yet."""
    sizes = {ChildRef(DEPLOYMENT, names.gateway_name(deployment.name)): deployment.spec.gateway.replicas}
    for plan in pools:
        for revision, size in plan.rollout.sizes.items():
            sizes[ChildRef(DEPLOYMENT, names.revision_name(deployment.name, plan.pool.name, revision))] = size
        if is_external(plan.pool) and plan.sizing.asked is None:
            sizes[scale_ref(deployment, plan.pool)] = plan.desired
    return sizes


def kept_of(deployment: Deployment, pools: Iterable[PoolPlan]) -> frozenset[ChildRef]:
    """Return the children of older revisions that a rollout still needs."""
    return frozenset(
        ChildRef(kind, names.revision_name(deployment.name, plan.pool.name, revision))
        for plan in pools
        for revision in plan.rollout.sizes
        for kind in _REVISION_KINDS
    )
