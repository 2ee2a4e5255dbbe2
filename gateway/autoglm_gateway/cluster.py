"""Configuration and endpoints from Kubernetes: this gateway's own ConfigMap and its deployment's EndpointSlices."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial

from kubernetes.aio import client
from kubernetes.aio.config import load_incluster_config
from pydantic import ValidationError

from autoglm_api import names
from autoglm_api.config import GatewayConfig
from autoglm_gateway.endpoints import endpoints_of
from autoglm_gateway.fleet import Fleet
from autoglm_gateway.watching import Object, follow

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
        group.create_task(follow(config_maps, partial(_configure, fleet)))
        group.create_task(follow(slices, lambda found: fleet.locate(endpoints_of(found))))


def _configure(fleet: Fleet, config_maps: list[Object]) -> None:
    """Take over the configuration; a missing or broken one leaves the last good one in force."""
    if not config_maps:
        log.warning("the ConfigMap is not there")
        return
    text = (config_maps[0].get("data") or {}).get(names.GATEWAY_CONFIG_KEY, "")
    try:
        config = GatewayConfig.model_validate_json(text)
    except ValidationError as error:
        log.error("the configuration is broken, the last good one stays: %s", error)  # noqa: TRY400 - no bug of ours
        return
    if config != fleet.config:
        fleet.configure(config)
