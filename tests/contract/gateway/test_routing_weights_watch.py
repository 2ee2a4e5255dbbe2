"""The ConfigMap with routing weights, followed through a scripted API server."""

import asyncio
import json
from collections import defaultdict
from functools import partial
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest
from kubernetes.aio import client

from autoglm_api import names
from autoglm_api.routing import Routing
from autoglm_gateway.cluster import follow_cluster
from autoglm_gateway.fleet import Fleet
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import HttpServer
from support.gateways import config
from support.raw_http import HOST, eventually


class ApiServer:
    """Serves ConfigMaps by name; `put` sends an event to everybody who watches that name."""

    def __init__(self) -> None:
        self.data: dict[str, dict[str, str]] = {}
        self.data_version: dict[str, int] = {}
        self.asked: list[str] = []
        self._version = 1
        self._watches: dict[str, list[asyncio.Queue[bytes]]] = defaultdict(list)

    def _object(self, name: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "resourceVersion": str(self._version)}, "data": self.data[name]}

    def put(self, name: str, **data: str) -> None:
        self._version += 1
        self.data[name] = {key.replace("_", "."): value for key, value in data.items()}
        self.data_version[name] = self._version
        for watch in self._watches[name]:
            watch.put_nowait(self._event(name))

    def _event(self, name: str) -> bytes:
        return orjson.dumps({"type": "MODIFIED", "object": self._object(name)}) + b"\n"

    async def handle(self, request: Request, responder: Responder) -> None:
        query = parse_qs(request.query)
        name = query.get("fieldSelector", [""])[0].removeprefix("metadata.name=")
        if "watch" not in query:
            self.asked.append(name)
            items = [self._object(name)] if name in self.data else []
            body = {"metadata": {"resourceVersion": str(self._version)}, "items": items}
            await responder.send(200, [("content-type", "application/json")], orjson.dumps(body))
            return
        events: asyncio.Queue[bytes] = asyncio.Queue()
        self._watches[name].append(events)
        if name in self.data and self.data_version[name] > int(query["resourceVersion"][0]):
            events.put_nowait(self._event(name))  # what changed between the list and the watch
        responder.start(200, [("content-type", "application/json")])
        while True:
            await responder.write(await events.get())


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
