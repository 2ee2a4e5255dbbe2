"""Worker pods of the pool `light` as the API server shows them."""

from datetime import datetime, timedelta
from typing import Any

from autoglm_api import names
from support.simulated_kubernetes import NOW


def stamp(seconds: float) -> str:
    """Return the time so many seconds after NOW as Kubernetes writes it."""
    return (NOW + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def at(seconds: float) -> datetime:
    """Return the time so many seconds after NOW."""
    return NOW + timedelta(seconds=seconds)


def worker(
    name: str, *, created: float = 0, ready: float | None = None, room: bool = True, restarts: int = 0, **more: Any
) -> dict[str, Any]:
    """Return a pod that was created and became ready at these seconds; `more` goes into its metadata."""
    labels = {
        names.LABEL_COMPONENT: names.COMPONENT_WORKER,
        names.LABEL_POOL: "light",
        names.LABEL_REVISION: "aaaa1111",
    }
    ready_condition = {"type": "Ready", "status": "False", "lastTransitionTime": stamp(created)}
    if ready is not None:
        ready_condition |= {"status": "True", "lastTransitionTime": stamp(ready)}
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": stamp(created)}
    if not room:
        scheduled |= {"status": "False", "reason": "Unschedulable", "message": "0/4 nodes are available"}
    container = {"name": "worker", "restartCount": restarts, "started": ready is not None}
    return {
        "metadata": {"name": name, "uid": name, "creationTimestamp": stamp(created), "labels": labels, **more},
        "status": {
            "phase": "Running" if room else "Pending",
            "podIP": "10.0.0.1",
            "conditions": [ready_condition, scheduled],
            "containerStatuses": [container] if room else [],
        },
    }
