"""What a deployment's status says. Pure."""

from dataclasses import dataclass
from typing import Any

from autoglm_api.status import ConditionStatus, ConditionType
from autoglm_demo.samples import PoolSample


@dataclass(frozen=True, slots=True)
class View:
    """One deployment's status at a moment; `why` is the message of its Ready condition."""

    ready: bool
    why: str
    pools: tuple[PoolSample, ...]


def view_of(body: dict[str, Any]) -> View:
    """Read an AutoGLMDeployment as the API server returns it; a status for an older generation is not ready."""
    status = body.get("status") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    ready = conditions.get(ConditionType.READY, {})
    current = status.get("observedGeneration") == body["metadata"].get("generation")
    pools = tuple(
        PoolSample(one["name"], one.get("readyReplicas", 0), one.get("desiredReplicas", 0))
        for one in status.get("pools") or ()
    )
    why = ready.get("message", "no status yet") if current else "the operator has not seen this generation yet"
    return View(current and ready.get("status") == ConditionStatus.TRUE, why, pools)
