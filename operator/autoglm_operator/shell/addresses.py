"""Where the pods of a deployment answer on their admin port, asked of the API server and remembered for a while."""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from autoglm_api import names
from autoglm_operator.core.keys import JSON, ObjectKey
from autoglm_operator.shell.api import APIError, KubernetesAPI
from autoglm_operator.shell.resources import PODS

REMEMBER_SECONDS: Final = 10.0
_LARGEST_PORT: Final = 65535


class Address(NamedTuple):
    """One pod's admin surface; `pool` is empty for a gateway."""

    pod: str
    host: str
    port: int
    pool: str = ""

    @property
    def url(self) -> str:
        """Return its base URL."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


class PodAddresses:
    """Finds gateways and workers by their labels."""

    def __init__(self, api: KubernetesAPI) -> None:
        self._api = api
        self._known: dict[tuple[ObjectKey, str], tuple[float, tuple[Address, ...]]] = {}

    async def gateways(self, key: ObjectKey) -> Sequence[Address]:
        """Return the running gateways of a deployment; empty when there are none or the API server does not say."""
        return await self._of(key, names.COMPONENT_GATEWAY)

    async def workers(self, key: ObjectKey) -> Sequence[Address]:
        """Return the running workers of a deployment, of all pools."""
        return await self._of(key, names.COMPONENT_WORKER)

    def forget(self, key: ObjectKey) -> None:
        """Ask again next time."""
        for component in (names.COMPONENT_GATEWAY, names.COMPONENT_WORKER):
            self._known.pop((key, component), None)

    async def _of(self, key: ObjectKey, component: str) -> tuple[Address, ...]:
        known = self._known.get((key, component))
        if known is not None and time.monotonic() - known[0] < REMEMBER_SECONDS:
            return known[1]
        selector = {
            names.LABEL_MANAGED_BY: names.MANAGED_BY,
            names.LABEL_DEPLOYMENT: names.label_value(key.name),
            names.LABEL_COMPONENT: component,
        }
        try:
            pods = await self._api.list(PODS, key.namespace, ",".join(f"{name}={of}" for name, of in selector.items()))
        except APIError:
            return known[1] if known is not None else ()
        found = tuple(address for pod in pods if (address := address_of(pod)) is not None)
        self._known[key, component] = (time.monotonic(), found)
        return found


def address_of(pod: JSON) -> Address | None:
    """Return where a pod answers; None for one that does not run. One that is going may still have work."""
    metadata, status = pod["metadata"], pod.get("status") or {}
    host, port = status.get("podIP"), _port(metadata)
    if status.get("phase") != "Running" or not host or port is None:
        return None
    return Address(metadata["name"], host, port, (metadata.get("labels") or {}).get(names.LABEL_POOL, ""))


def _port(metadata: JSON) -> int | None:
    text = (metadata.get("annotations") or {}).get(names.ANNOTATION_SCRAPE_PORT, "")
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_LARGEST_PORT))):
        return None
    return int(text) if 0 < int(text) <= _LARGEST_PORT else None
