"""Configuration and endpoints from Kubernetes: this gateway's own ConfigMap and its deployment's EndpointSlices."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Generic, Protocol, TypeVar

from kubernetes.aio import client
from kubernetes.aio.config import load_incluster_config
from pydantic import ValidationError

from autoglm_api import names
from autoglm_api.cache import SecretKeyRef
from autoglm_api.config import GatewayConfig
from autoglm_api.keys import SecretRef
from autoglm_api.routing import WeightsRef
from autoglm_gateway.callers import secret_entries
from autoglm_gateway.endpoints import endpoints_of
from autoglm_gateway.fleet import Fleet
from autoglm_gateway.watching import Call, Object, follow

log = logging.getLogger(__name__)


async def _pod_access(access: client.Configuration) -> None:
    load_incluster_config(client_configuration=access)


async def follow_cluster(
    fleet: Fleet,
    *,
    namespace: str,
    deployment: str,
    config_map: str,
    load_access: Callable[[client.Configuration], Awaitable[None]] = _pod_access,
) -> None:
    """Keep the fleet in step with the cluster until cancelled; by default with the pod's service account."""
    access = client.Configuration()
    await load_access(access)
    async with client.ApiClient(access) as api, asyncio.TaskGroup() as group:
        config_maps = partial(
            client.CoreV1Api(api).list_namespaced_config_map_without_preload_content,
            namespace,
            field_selector=f"metadata.name={config_map}",
        )
        slices = partial(
            client.DiscoveryV1Api(api).list_namespaced_endpoint_slice_without_preload_content,
            namespace,
            label_selector=f"{names.LABEL_DEPLOYMENT}={names.label_value(deployment)}",
        )
        references = _References(fleet, api, namespace, group)
        group.create_task(follow(config_maps, lambda found: references.follow(_configure(fleet, found))))
        group.create_task(follow(slices, lambda found: fleet.locate(endpoints_of(found))))


class _Named(Protocol):
    """A reference by name."""

    @property
    def name(self) -> str:
        """The object's name."""


Named = TypeVar("Named", bound=_Named)


class _Reference(Generic[Named]):
    """Follows one object that the configuration names; `found(reference, objects)` gets a list of one or none."""

    def __init__(self, group: asyncio.TaskGroup, listing: Call, found: Callable[[Named, list[Object]], None]) -> None:
        self._group = group
        self._listing = listing
        self._found = found
        self._named: Named | None = None
        self._task: asyncio.Task[None] | None = None

    def follow(self, named: Named | None) -> None:
        """Follow this one from now on, and no other."""
        if named == self._named:
            return
        if self._task is not None:
            self._task.cancel()
        self._named = named
        if named is not None:
            call = partial(self._listing, field_selector=f"metadata.name={named.name}")
            self._task = self._group.create_task(follow(call, partial(self._found, named)))


class _References:
    """Follows what the configuration names: weights in a ConfigMap; keys, certificate and Redis' URL in Secrets."""

    def __init__(self, fleet: Fleet, api: client.ApiClient, namespace: str, group: asyncio.TaskGroup) -> None:
        self._fleet = fleet
        core = client.CoreV1Api(api)
        config_maps = partial(core.list_namespaced_config_map_without_preload_content, namespace)
        secrets = partial(core.list_namespaced_secret_without_preload_content, namespace)
        self._weights = _Reference[WeightsRef](group, config_maps, self._weigh)
        self._keys = _Reference[SecretRef](group, secrets, self._know)
        self._redis = _Reference[SecretKeyRef](group, secrets, self._remember)
        self._tls = _Reference[SecretRef](group, secrets, self._certify)

    def follow(self, config: GatewayConfig | None) -> None:
        """Follow what this configuration names; without one, go on as before."""
        if config is not None:
            self._weights.follow(config.routing.weights_config_map_ref)
            self._keys.follow(config.auth.api_keys_secret_ref)
            self._tls.follow(None if config.tls is None else config.tls.secret_ref)
            redis = None if config.cache is None else config.cache.redis
            self._redis.follow(None if redis is None else redis.url_secret_ref)

    def _weigh(self, named: WeightsRef, config_maps: list[Object]) -> None:
        text = (config_maps[0].get("data") or {}).get(named.key) if config_maps else None
        self._fleet.weigh(f"ConfigMap {named.name}, key {named.key}", text)

    def _know(self, named: SecretRef, secrets: list[Object]) -> None:
        if not secrets:
            log.error("Secret %s is not there: nobody may ask", named.name)
        self._fleet.callers.follow(secret_entries(secrets))

    def _certify(self, named: SecretRef, secrets: list[Object]) -> None:
        self._fleet.certify(f"Secret {named.name}", secret_entries(secrets))

    def _remember(self, named: SecretKeyRef, secrets: list[Object]) -> None:
        url = secret_entries(secrets).get(named.key)
        if url is None:
            log.error("Secret %s has no key %s: gateways share no answers", named.name, named.key)
        self._fleet.use_redis(None if url is None else url.decode("utf-8", "replace"))


def _configure(fleet: Fleet, config_maps: list[Object]) -> GatewayConfig | None:
    """Take over the configuration; a missing or broken one leaves the last good one in force and is None."""
    if not config_maps:
        log.warning("the ConfigMap is not there")
        return None
    text = (config_maps[0].get("data") or {}).get(names.GATEWAY_CONFIG_KEY, "")
    try:
        config = GatewayConfig.model_validate_json(text)
    except ValidationError as error:
        log.error("the configuration is broken, the last good one stays: %s", error)  # noqa: TRY400 - no bug of ours
        return None
    if config != fleet.config:
        fleet.configure(config)
    return config
