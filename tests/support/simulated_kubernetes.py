"""Just enough of Kubernetes in memory to run the operator's core against: apply, scale, delete, pods that start."""

import copy
import itertools
import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from autoglm_api import names
from autoglm_api.status import Status
from autoglm_operator.core.deployment import Deployment, Invalid, parse
from autoglm_operator.core.keys import JSON, ChildRef
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.observed import Observed, observe
from autoglm_operator.core.outcome import Action, Apply, Delete, Outcome, Scale
from autoglm_operator.core.reconcile import reconcile
from autoglm_operator.core.settings import Images
from support.manifests import two_pools

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
IMAGES: Final = Images(gateway="gateway:1", node="node:1")
UID: Final = "uid-of-the-resource"


def resource(manifest: dict[str, Any] | None = None, *, status: JSON | None = None, generation: int = 1) -> JSON:
    """Return a custom resource as the API server stores it."""
    body = copy.deepcopy(manifest or two_pools())
    body["metadata"] |= {"namespace": "default", "uid": UID, "generation": generation}
    return body | {"status": status or {}}


def deployment(manifest: dict[str, Any] | None = None, status: Status | None = None) -> Deployment:
    """Return a parsed custom resource."""
    parsed = parse(resource(manifest, status=status.to_json() if status is not None else None))
    assert isinstance(parsed, Deployment)
    return parsed


class SimulatedKubernetes:
    """Children and pods of one resource. Pods of a Deployment follow its replicas; `start` makes them ready."""

    def __init__(self) -> None:
        self.children: dict[ChildRef, JSON] = {}
        self.pods: dict[str, JSON] = {}
        self._numbers = itertools.count()

    def observed(self) -> Observed:
        """Return what a LIST shows."""
        return observe(UID, self.children.values(), self.pods.values())

    def perform(self, actions: Iterable[Action]) -> None:
        """Do what the operator asks, then let the controllers follow."""
        for action in actions:
            match action:
                case Apply():
                    self._apply(action.ref, action.body)
                case Scale():
                    self.children[action.ref]["spec"]["replicas"] = action.replicas
                    self.children[action.ref]["metadata"]["managedFields"] = _sized_by(names.FIELD_MANAGER_SCALE)
                case Delete():
                    self.delete(action.ref)
        self._control()

    def delete(self, ref: ChildRef) -> None:
        """Delete a child as anybody may."""
        self.children.pop(ref, None)
        self._control()

    def start(self, works: Callable[[JSON], bool] = lambda _: True) -> None:
        """Make pods ready, those of which the predicate says that they work; the others become or stay unready."""
        for pod in self.pods.values():
            state = "True" if works(pod) else "False"
            pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": state}]}
        self._count()

    def ready(self, pool: str) -> int:
        """Count the ready workers of a pool."""
        return sum(pod.ready for pod in self.observed().workers(pool))

    def _apply(self, ref: ChildRef, body: JSON) -> None:
        before = self.children.get(ref, {})
        merged: JSON = json.loads(json.dumps(body))
        merged["metadata"]["uid"] = before.get("metadata", {}).get("uid", f"uid-{next(self._numbers)}")
        if ref.kind == "Deployment":
            given = merged["spec"].get("replicas", 1)
            merged["spec"]["replicas"] = before.get("spec", {}).get("replicas", given)
            created = _sized_by(names.FIELD_MANAGER) if "replicas" in body["spec"] else []
            merged["metadata"]["managedFields"] = before.get("metadata", {}).get("managedFields", created)
        elif "replicas" in before.get("spec", {}):  # of another writer: an apply without it leaves it
            merged["spec"]["replicas"] = before["spec"]["replicas"]
        self.children[ref] = merged

    def _control(self) -> None:
        """Do what the Deployment controller does: delete unready pods first, create what is missing."""
        wanted = {ref.name: body for ref, body in self.children.items() if ref.kind == "Deployment"}
        for name, pod in list(self.pods.items()):
            if pod["metadata"]["annotations"]["owner"] not in wanted:
                del self.pods[name]
        for name, body in wanted.items():
            self._follow(name, body)
        self._count()

    def _count(self) -> None:
        """Report each Deployment's ready pods, as its controller does."""
        for ref, body in self.children.items():
            if ref.kind == "Deployment":
                mine = [pod for pod in self.pods.values() if pod["metadata"]["annotations"]["owner"] == ref.name]
                body.setdefault("status", {})["readyReplicas"] = sum("True" in str(pod["status"]) for pod in mine)

    def _follow(self, name: str, body: JSON) -> None:
        mine = [pod for pod in self.pods.values() if pod["metadata"]["annotations"]["owner"] == name]
        mine.sort(key=lambda pod: "True" in str(pod["status"]), reverse=True)
        for pod in mine[body["spec"]["replicas"] :]:
            del self.pods[pod["metadata"]["name"]]
        for _ in range(body["spec"]["replicas"] - len(mine)):
            pod_name = f"{name}-{next(self._numbers)}"
            metadata = {
                "name": pod_name,
                "labels": body["spec"]["template"]["metadata"]["labels"],
                "annotations": {"owner": name},
            }
            self.pods[pod_name] = {"metadata": metadata, "spec": body["spec"]["template"]["spec"], "status": {}}


def _sized_by(manager: str) -> list[JSON]:
    return [{"manager": manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}}]


def revision_of(pod: JSON) -> str:
    """Return a pod's revision; empty for gateways."""
    return str(pod["metadata"]["labels"].get(names.LABEL_REVISION, ""))


def step(
    world: SimulatedKubernetes, manifest: dict[str, Any], status: Status, memory: Memory | None = None
) -> tuple[Outcome, Deployment | Invalid]:
    """Reconcile once; nothing is done yet."""
    parsed = parse(resource(manifest, status=status.to_json()))
    return reconcile(parsed, world.observed(), memory or Memory(), NOW, IMAGES), parsed


def converge(
    world: SimulatedKubernetes, manifest: dict[str, Any], status: Status | None = None, steps: int = 60
) -> Status:
    """Reconcile, act and let pods start until nothing is left to do; raises AssertionError if that takes too long."""
    now = status or Status()
    world.start()
    for _ in range(steps):
        outcome, _ = step(world, manifest, now)
        if not outcome.actions and outcome.status == now:
            return now
        world.perform(outcome.actions)
        world.start()
        now = outcome.status
    raise AssertionError(f"not done after {steps} steps: {[str(action) for action in outcome.actions]}")
