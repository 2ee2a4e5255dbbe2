"""Events for users, aggregated: the same thing said again raises a count instead of adding an object."""

import logging
from datetime import UTC, datetime
from typing import Final

from autoglm_api import names
from autoglm_operator.core.deployment import Identity
from autoglm_operator.core.keys import JSON
from autoglm_operator.core.outcome import Event
from autoglm_operator.shell.api import APIError, ConflictError, KubernetesAPI

_log: Final = logging.getLogger(__name__)
_MAX_NOTE: Final = 1024  # bytes
_MAX_PREFIX: Final = 200
_REMEMBERED: Final = 4096


class Recorder:
    """Writes events. An event that cannot be written is logged: news must never stop work."""

    def __init__(self, api: KubernetesAPI, instance: str) -> None:
        self._api = api
        self._instance = instance
        self._counts: dict[str, int] = {}

    async def record(self, about: Identity, event: Event) -> None:
        """Tell one thing about a resource."""
        name = _name_of(about, event)
        if len(self._counts) >= _REMEMBERED:
            self._counts.clear()
        count = self._counts[name] = self._counts.get(name, 0) + 1
        try:
            await self._write(about, event, name, count)
        except APIError as error:
            _log.warning("event %s about %s was not written: %s", event.reason, about.key, error)

    async def _write(self, about: Identity, event: Event, name: str, count: int) -> None:
        body = _body(about, event, name, self._instance)
        try:
            await self._api.create_event(about.key.namespace, body)
        except ConflictError:
            seen = max(count, 2)  # it is there from before, perhaps from an operator before this one
            series = {"count": seen, "lastObservedTime": _micro_time()}
            await self._api.patch_event(about.key.namespace, name, {"series": series})


def _name_of(about: Identity, event: Event) -> str:
    digest = names.short_hash(f"{about.uid} {event.reason} {event.note}")
    return f"{about.key.name[:_MAX_PREFIX]}.{digest}"


def _body(about: Identity, event: Event, name: str, instance: str) -> JSON:
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": about.key.namespace},
        "eventTime": _micro_time(),
        "reportingController": f"{names.GROUP}/operator",
        "reportingInstance": instance,
        "action": "Reconcile",
        "reason": event.reason,
        "note": event.note.encode()[:_MAX_NOTE].decode(errors="ignore"),
        "type": "Warning" if event.warning else "Normal",
        "regarding": {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "namespace": about.key.namespace,
            "name": about.key.name,
            "uid": about.uid,
        },
    }


def _micro_time() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
