"""The ConfigMap with routing weights, followed through a scripted API server."""

import asyncio
import json
from functools import partial
from typing import Any

import pytest
from kubernetes.aio import client

from autoglm_api import names
from autoglm_api.routing import Routing
from autoglm_gateway.cluster import follow_cluster
from autoglm_gateway.fleet import Fleet
from autoglm_transport.limits import Limits
from autoglm_transport.server import HttpServer
from support.config_api import ApiServer
from support.gateways import config
from support.raw_http import HOST, eventually


def gateway_json(**routing: Any) -> str:
    settings = config(routing=Routing.model_validate(routing))
    return json.dumps(settings.to_json())


async def test_the_gateway_follows_what_its_configuration_names() -> None:
    server, seen = ApiServer(), list[tuple[str, str | None]]()
    http = HttpServer(server.handle, Limits())
    port = await http.start(HOST, 0)

    async def access(settings: client.Configuration) -> None:
        settings.host = f"http://{HOST}:{port}"

    seen_soon = partial(eventually, seconds=30)
    fleet = Fleet(weighed=lambda where, text: seen.append((where, text)))
    server.put("gate", gateway_json=gateway_json())
    task = asyncio.create_task(
        follow_cluster(fleet, namespace="shop", deployment="d", config_map="gate", load_access=access)
    )
    try:
        await seen_soon(lambda: fleet.config is not None)
        assert seen == []
        server.put("gate", gateway_json=gateway_json(weightsConfigMapRef={"name": "mine", "key": "w"}))
        await seen_soon(lambda: seen == [("ConfigMap mine, key w", None)])
        server.put("mine", w="1")
        await seen_soon(lambda: seen[1:] == [("ConfigMap mine, key w", "1")])
        server.put("gate", gateway_json=gateway_json(weightsConfigMapRef={"name": "other"}))
        await seen_soon(lambda: seen[2:] == [("ConfigMap other, key weights.json", None)])
        server.put("gate", gateway_json="{")  # broken: what was named goes on to be followed
        await asyncio.sleep(0.1)
        server.put("other", weights_json="2")
        await seen_soon(lambda: seen[3:] == [("ConfigMap other, key weights.json", "2")])
        server.put("mine", w="2")
        server.put("gate", gateway_json=gateway_json())
        await seen_soon(lambda: fleet.config is not None and fleet.config.routing.weights_config_map_ref is None)
        server.put("other", weights_json="3")
        await asyncio.sleep(0.1)
        assert len(seen) == 4
        assert names.GATEWAY_CONFIG_KEY == "gateway.json"
        assert set(server.asked) == {"gate", "mine", "other", ""}
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await http.close()
