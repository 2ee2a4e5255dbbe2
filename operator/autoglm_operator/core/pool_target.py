"""One pool as the scaling engine needs to see it."""

from dataclasses import dataclass, replace
from datetime import datetime

from autoglm_api.status import Reason
from autoglm_operator.core.nodes import placement_of
from autoglm_operator.core.observed import Observed
from autoglm_operator.core.pools import PoolPlan
from autoglm_operator.core.refused_pods import pods_refused
from autoglm_operator.scaling.model import PoolTarget


@dataclass(frozen=True, slots=True)
class Sighting:
    """A pool at the last look; what depends on the time of asking is added when somebody asks."""

    target: PoolTarget
    waits_since: datetime | None
    """Since when the first of the replicas without room waits."""

    def at(self, now: datetime, became_ready: tuple[float, ...]) -> PoolTarget:
        """Return the pool at that time, with the start-up times that were learned since the last asking."""
        waited = 0.0 if self.waits_since is None else max(0.0, (now - self.waits_since).total_seconds())
        return replace(self.target, unschedulable_seconds=waited, became_ready=became_ready)


def sighting_of(plan: PoolPlan, observed: Observed) -> Sighting:
    """Return a pool as it was seen.

    Replicas that the API server refuses to create (a quota) count as without room, like pods without a node.
    """
    pool = plan.pool
    waits = [pod.waits_since for pod in observed.workers(pool.name) if pod.waits_since is not None]
    refused = pods_refused(observed, pool.name)
    since = [*waits, *([refused.since] if refused is not None and refused.since is not None else [])]
    target = PoolTarget(
        scaling=pool.scaling,
        current=plan.desired,
        ready=plan.ready,
        rolling_out=plan.rollout.rolling_out,
        conflict=plan.sizing.conflict,
        external_replicas=plan.sizing.asked,
        serves=pool.serves,
        weight=pool.weight,
        concurrency=pool.concurrency_per_replica,
        gpus_per_replica=pool.engine.gpus_per_replica,
        gpu_budget=plan.gpu_budget,
        unschedulable=len(waits) + (refused.count if refused is not None else 0),
        placement=placement_of(pool),
        no_room=refused.reason if refused is not None and refused.count else Reason.INSUFFICIENT_GPU,
    )
    return Sighting(target, min(since, default=None))
