"""kopf as the watch layer: every event only wakes the key of the resource that it belongs to.

No handler returns a value, keeps state, or adds a finalizer. Children and pods are filtered by label in the API server.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any, Final

import kopf

from autoglm_api import names
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.shell.resources import AUTOSCALERS, CHILDREN, CUSTOM, PODS, Resource

Wake = Callable[[ObjectKey], None]
WakeTarget = Callable[[str, str], None]
"""Wakes the resources of a namespace that may own the object of that name."""

_FIRST_BACKOFF_SECONDS: Final = 0.5
_LONGEST_BACKOFF_SECONDS: Final = 30.0


class Forever:
    """Endless, jittered back-off; kopf gives a watch up (and ends) when its list of pauses does."""

    def __iter__(self) -> Iterator[float]:
        for attempt in itertools.count():
            longest = min(_LONGEST_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2 ** min(attempt, 10))
            yield random.uniform(longest / 2, longest)


def registry(wake: Wake, wake_target: WakeTarget) -> kopf.OperatorRegistry:
    """Return the handlers: one for the custom resource, one for each kind of child, one for pods, one for HPAs.

    KEDA's ScaledObjects are not watched, as their kind may not exist; each comes with an HPA of its own.
    """
    handlers = kopf.OperatorRegistry()
    kopf.on.login(registry=handlers)(_login)
    kopf.on.event(CUSTOM.group, CUSTOM.version, CUSTOM.plural, registry=handlers)(_own(wake))
    for resource in (*CHILDREN.values(), PODS):
        kopf.on.event(resource.group, resource.version, resource.plural, registry=handlers)(_of_owner(wake))
    kopf.on.event(AUTOSCALERS.group, AUTOSCALERS.version, AUTOSCALERS.plural, registry=handlers)(
        autoscaler_handler(wake_target)
    )
    return handlers


def settings() -> kopf.OperatorSettings:
    """Return kopf's settings: no peering, no posting, patient connections, filters in the server."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.scanning.disabled = True
    chosen.posting.enabled = False
    chosen.posting.loggers = False
    chosen.networking.error_backoffs = Forever()
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 5
    chosen.watching.server_timeout = 300
    chosen.watching.client_timeout = 330
    chosen.watching.inactivity_timeout = 70
    chosen.watching.chunk_size = 500
    for resource in (*CHILDREN.values(), PODS):
        chosen.watching.label_selectors[_selector(resource)] = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
    chosen.process.ultimate_exiting_timeout = 20
    chosen.execution.max_workers = 2
    return chosen


def _selector(resource: Resource) -> str:
    return f"{resource.plural}.{resource.group}" if resource.group else resource.plural


def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    return kopf.login_via_client(**kwargs)


def _own(wake: Wake) -> Callable[..., Any]:
    async def resource_changed(name: str, namespace: str, **_: Any) -> None:
        wake(ObjectKey(namespace, name))

    return resource_changed


def _of_owner(wake: Wake) -> Callable[..., Any]:
    async def child_changed(body: Any, namespace: str, **_: Any) -> None:
        for owner in owners_of(body):
            wake(ObjectKey(namespace, owner))

    return child_changed


def autoscaler_handler(wake_target: WakeTarget) -> Callable[..., Any]:
    """Return a handler that wakes when an HPA comes, goes or gets another target, but not when its figures change."""
    targets: dict[str, str] = {}

    async def autoscaler_changed(body: Any, namespace: str, uid: str, type: str | None, **_: Any) -> None:  # noqa: A002
        before = targets.pop(uid, None)
        name = str(((body.get("spec") or {}).get("scaleTargetRef") or {}).get("name", ""))
        if type != "DELETED":
            targets[uid] = name
        if type == "DELETED" or before != name:
            for target in {before or name, name}:
                wake_target(namespace, target)

    return autoscaler_changed


def owners_of(body: Any) -> set[str]:
    """Return the names of the resources that an object may belong to.

    Its owner reference tells, and its label: either may have been edited away. Pods have only the label.
    """
    metadata = body.get("metadata", {})
    owners = {one["name"] for one in metadata.get("ownerReferences") or () if one["kind"] == names.KIND}
    label = (metadata.get("labels") or {}).get(names.LABEL_DEPLOYMENT)
    return owners | ({label} if label else set())
