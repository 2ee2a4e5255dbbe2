"""AutoGLMPoolScale, one for every pool in mode External: others write the size into it, the operator reads it.

| object | spec.replicas | what the operator does |
|---|---|---|
| absent | - | creates it, with the size that the pool has |
| ours | absent | writes the size that the pool has |
| ours | present | follows it within the pool's bounds; never writes it again |
| not ours | - | holds the size; NameConflict |
| ours, and the mode is no longer External | - | deletes it |
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from autoglm_api import names
from autoglm_api.pool_scale import PoolScaleStatus
from autoglm_api.spec import Mode, Pool
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.keys import JSON, ChildRef
from autoglm_operator.core.metadata import child, pool_labels
from autoglm_operator.core.observed import Child, Observed

POOL_SCALE: Final = names.SCALE_KIND


@dataclass(frozen=True, slots=True)
class ScaleReport:
    """A new status of a pool's AutoGLMPoolScale."""

    ref: ChildRef
    uid: str
    status: PoolScaleStatus


def is_external(pool: Pool) -> bool:
    """Tell whether a pool has an AutoGLMPoolScale."""
    return pool.scaling.mode is Mode.EXTERNAL


def scale_ref(deployment: Deployment, pool: Pool) -> ChildRef:
    """Return the place of a pool's AutoGLMPoolScale."""
    return ChildRef(POOL_SCALE, names.pool_scale_name(deployment.name, pool.name))


def pool_scale_for(deployment: Deployment, pool: Pool) -> JSON:
    """Return the AutoGLMPoolScale without a size: that is written once, by the scale writer."""
    labels = pool_labels(deployment.name, pool.name)
    return child(deployment, names.API_VERSION, POOL_SCALE, scale_ref(deployment, pool).name, labels) | {"spec": {}}


def asked_size(deployment: Deployment, pool: Pool, observed: Observed) -> int | None:
    """Return the size that somebody asks for; None when nobody has said one, or where nobody may."""
    live = _live(deployment, pool, observed)
    return live.replicas if live is not None and live.sized else None


def report(deployment: Deployment, pool: Pool, observed: Observed, desired: int) -> ScaleReport | None:
    """Return the status that the AutoGLMPoolScale lacks.

    The pods of a rollout's surge are not counted: an HPA that saw them would take them for capacity.
    """
    live = _live(deployment, pool, observed)
    if live is None:
        return None
    exist = len(observed.workers(pool.name))
    status = PoolScaleStatus(replicas=min(exist, desired), selector=selector_of(deployment.name, pool.name))
    return ScaleReport(live.ref, live.uid, status) if live.body.get("status") != status.to_json() else None


def reports(deployment: Deployment, sizes: Iterable[tuple[Pool, int]], observed: Observed) -> Iterator[ScaleReport]:
    """Return what is new in any AutoGLMPoolScale's status, for pools with their sizes."""
    for pool, desired in sizes:
        one = report(deployment, pool, observed, desired)
        if one is not None:
            yield one


def selector_of(deployment: str, pool: str) -> str:
    """Return the label selector of a pool's worker pods as text."""
    return ",".join(f"{key}={value}" for key, value in sorted(pool_labels(deployment, pool).items()))


def _live(deployment: Deployment, pool: Pool, observed: Observed) -> Child | None:
    ref = scale_ref(deployment, pool)
    return observed.children[ref] if is_external(pool) and observed.has_own(ref) else None
