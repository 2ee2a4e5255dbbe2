"""One pool as it should be now: its revision, its size, the step of its rollout."""

from dataclasses import dataclass, replace
from datetime import datetime

from autoglm_api import names
from autoglm_api.spec import Mode, Pool
from autoglm_api.status import ConditionType, PoolStatus, Reason
from autoglm_operator.core import rollout
from autoglm_operator.core.conflicts import conflict_of, sized_by_other
from autoglm_operator.core.deployment import Deployment, condition
from autoglm_operator.core.desired import Bounds, Past, bounds_of, desired_size, is_stopped
from autoglm_operator.core.keys import ChildRef
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.observed import Observed
from autoglm_operator.core.pool_scale import asked_size
from autoglm_operator.core.refused_pods import RefusedPods, pods_refused
from autoglm_operator.core.revision import revision_of
from autoglm_operator.core.rollout import RevisionState, RolloutPlan
from autoglm_operator.core.settings import Images
from autoglm_operator.core.sizing import Sizing, sizing
from autoglm_operator.core.sleep import Rest, rest_of


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """A pool's next step."""

    pool: Pool
    revision: str
    sizing: Sizing
    """Who decides the size, and what it is."""
    ready: int
    """Replicas that answer, over all revisions."""
    reachable: bool
    """Whether a ready replica is behind a Service, so that a gateway finds it."""
    rollout: RolloutPlan
    rest: Rest = Rest.AWAKE
    gpu_budget: int | None = None
    """GPUs that all pools of the deployment may take together."""

    @property
    def desired(self) -> int:
        """Replicas that the pool should have, without the surge of a rollout."""
        return self.sizing.desired


def pool_plan(
    deployment: Deployment, pool: Pool, observed: Observed, memory: Memory, images: Images, now: datetime
) -> PoolPlan:
    """Decide revision, size and next rollout step of a pool."""
    revision = revision_of(deployment, pool, images)
    states = revision_states(deployment, observed, pool.name)
    before = next((one for one in deployment.status.pools or () if one.name == pool.name), None)
    size = _sizing(deployment, pool, observed, memory, Past(before=before, states=states), now)
    new = next((one for one in states if one.revision == revision), RevisionState(revision, 0, 0))
    old = [one for one in states if one.revision != revision]
    return PoolPlan(
        pool=pool,
        revision=revision,
        sizing=size,
        ready=sum(one.ready for one in states),
        reachable=any(one.ready and _has_service(deployment, pool, observed, one.revision) for one in states),
        rollout=rollout.plan(size.desired, new, old),
        rest=rest_of(size, before, observed.workers(pool.name), pool.scaling.startup_seconds, now),
        gpu_budget=deployment.spec.gpu_budget,
    )


def _sizing(
    deployment: Deployment, pool: Pool, observed: Observed, memory: Memory, past: Past, now: datetime
) -> Sizing:
    conflict = conflict_of(deployment, pool, observed, memory.disputes.get(pool.name))
    advised = memory.decisions.get(pool.name)
    if advised is not None and pool.scaling.mode is Mode.INTERNAL and not advised.advisory:
        past = replace(past, decision=advised, basis=memory.bases.get(pool.name))
    bounds = bounds_of(pool.scaling, now)
    held = desired_size(past, bounds, deployment.pauses)
    found = sizing(pool, held, asked_size(deployment, pool, observed), conflict, past, bounds)
    found = replace(
        found,
        stopped=found.mode is Mode.INTERNAL and (_is_held(deployment) or _is_stopped(past, bounds)),
        hindrance=_hindrance(past, found.desired, bounds, pods_refused(observed, pool.name)),
    )
    return found if past.before is None or not deployment.spec.paused else _kept(found, past.before)


def _is_held(deployment: Deployment) -> bool:
    return deployment.spec.paused or deployment.pauses.scale_out


def _is_stopped(past: Past, bounds: Bounds) -> bool:
    said = past.decision.reason if past.decision is not None else _ready_reason(past.before)
    return is_stopped(past, bounds) or said == Reason.MANUAL_ZERO


def _hindrance(past: Past, desired: int, bounds: Bounds, refused: RefusedPods | None) -> Reason | None:
    if refused is not None:
        return refused.reason
    decided = past.decision is not None and bounds.around(past.decision.replicas) != desired
    return Reason.PAUSED if decided and not is_stopped(past, bounds) else None


def _ready_reason(before: PoolStatus | None) -> str | None:
    ready = condition(before.conditions, ConditionType.READY) if before is not None else None
    return ready.reason if ready is not None else None


def _kept(found: Sizing, before: PoolStatus) -> Sizing:
    return replace(found, desired=before.desired_replicas)


def _has_service(deployment: Deployment, pool: Pool, observed: Observed, revision: str) -> bool:
    return observed.has_own(ChildRef("Service", names.revision_name(deployment.name, pool.name, revision)))


def revision_states(deployment: Deployment, observed: Observed, pool: str) -> list[RevisionState]:
    """Return the revisions of a pool that have a Deployment of ours.

    The name tells the revision, as a label may have been edited. A pod counts as ready when its Deployment's status
    says so, too: pods of a deleted Deployment of the same name live on until the garbage collector comes.
    """
    found = ((child.ref.name.rsplit("-", 1)[-1], child) for child in observed.owned("Deployment"))
    return [
        RevisionState(
            revision,
            child.replicas,
            min(child.ready_replicas, _ready_pods(observed, pool, revision)),
            sized_by_other(child),
        )
        for revision, child in found
        if child.ref.name == names.revision_name(deployment.name, pool, revision)
    ]


def _ready_pods(observed: Observed, pool: str, revision: str) -> int:
    return sum(pod.ready for pod in observed.workers(pool, revision))
