"""One pool as it should be now: its revision, its size, the step of its rollout."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from autoglm_api import names
from autoglm_api.spec import Mode, Pool
from autoglm_api.status import PoolStatus
from autoglm_operator.core import rollout
from autoglm_operator.core.conflicts import conflict_of
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.keys import ChildRef
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.observed import Observed
from autoglm_operator.core.pool_scale import asked_size
from autoglm_operator.core.revision import revision_of
from autoglm_operator.core.rollout import RevisionState, RolloutPlan
from autoglm_operator.core.settings import Images
from autoglm_operator.core.sizing import Sizing, sizing
from autoglm_operator.scaling.model import PoolDecision


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

    @property
    def desired(self) -> int:
        """Replicas that the pool should have, without the surge of a rollout."""
        return self.sizing.desired


def pool_plan(deployment: Deployment, pool: Pool, observed: Observed, memory: Memory, images: Images) -> PoolPlan:
    """Decide revision, size and next rollout step of a pool."""
    revision = revision_of(deployment, pool, images)
    states = revision_states(deployment, observed, pool.name)
    size = _sizing(deployment, pool, observed, memory, states)
    new = next((one for one in states if one.revision == revision), RevisionState(revision, 0, 0))
    old = [one for one in states if one.revision != revision]
    return PoolPlan(
        pool=pool,
        revision=revision,
        sizing=size,
        ready=sum(one.ready for one in states),
        reachable=any(one.ready and _has_service(deployment, pool, observed, one.revision) for one in states),
        rollout=rollout.plan(size.desired, new, old),
    )


def _sizing(
    deployment: Deployment, pool: Pool, observed: Observed, memory: Memory, states: Sequence[RevisionState]
) -> Sizing:
    before = next((one for one in deployment.status.pools or () if one.name == pool.name), None)
    conflict = conflict_of(deployment, pool, observed, memory.disputes.get(pool.name))
    advised = memory.decisions.get(pool.name)
    decision = advised if advised is not None and pool.scaling.mode is Mode.INTERNAL and not advised.advisory else None
    held = desired_size(pool, decision, before, states)
    found = sizing(pool, held, asked_size(deployment, pool, observed), conflict, before, states)
    return found if before is None or not deployment.spec.paused else replace(found, desired=before.desired_replicas)


def _has_service(deployment: Deployment, pool: Pool, observed: Observed, revision: str) -> bool:
    return observed.has_own(ChildRef("Service", names.revision_name(deployment.name, pool.name, revision)))


def revision_states(deployment: Deployment, observed: Observed, pool: str) -> list[RevisionState]:
    """Return the revisions of a pool that have a Deployment of ours.

    The name tells the revision, as a label may have been edited. A pod counts as ready when its Deployment's status
    says so, too: pods of a deleted Deployment of the same name live on until the garbage collector comes.
    """
    found = ((child.ref.name.rsplit("-", 1)[-1], child) for child in observed.owned("Deployment"))
    return [
        RevisionState(revision, child.replicas, min(child.ready_replicas, _ready_pods(observed, pool, revision)))
        for revision, child in found
        if child.ref.name == names.revision_name(deployment.name, pool, revision)
    ]


def _ready_pods(observed: Observed, pool: str, revision: str) -> int:
    return sum(pod.ready for pod in observed.workers(pool, revision))


def desired_size(
    pool: Pool, decision: PoolDecision | None, before: PoolStatus | None, states: Iterable[RevisionState]
) -> int:
    """Return a pool's size within its bounds.

    The scaling engine's last decision counts. Without one (an operator that just started) the size is held: the
    larger of what was reported last and of the largest revision, so that a restart never shrinks a pool. Where the
    report was lost, all revisions together. A pool that never was starts at its minimum.
    """
    if decision is not None:
        held = decision.replicas
    elif before is None:
        held = sum(state.replicas for state in states)
    else:
        held = max([before.desired_replicas, *(state.replicas for state in states)])
    return max(pool.scaling.min_replicas, min(held, pool.scaling.max_replicas))
