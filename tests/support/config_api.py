"""An API server with the objects that a gateway follows: its configuration and what that names."""

import asyncio
from collections import defaultdict
from typing import Any
from urllib.parse import parse_qs

import orjson

from autoglm_transport.http import Request
from autoglm_transport.responder import Responder


class ApiServer:
    """Serves ConfigMaps and Secrets by name; `put` sends an event to everybody who watches that name."""

    def __init__(self) -> None:
        self.data: dict[str, dict[str, str]] = {}
        self.data_version: dict[str, int] = {}
        self.asked: list[str] = []
        self._version = 1
        self._watches: dict[str, list[asyncio.Queue[bytes]]] = defaultdict(list)

    def _object(self, name: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "resourceVersion": str(self._version)}, "data": self.data[name]}

    def put(self, name: str, **data: str) -> None:
        """Store an object; an underscore in a key stands for a dot."""
        self._version += 1
        self.data[name] = {key.replace("_", "."): value for key, value in data.items()}
        self.data_version[name] = self._version
        for watch in self._watches[name]:
            watch.put_nowait(self._event(name))

    def _event(self, name: str) -> bytes:
        return orjson.dumps({"type": "MODIFIED", "object": self._object(name)}) + b"\n"

    async def handle(self, request: Request, responder: Responder) -> None:
        """Answer a list or a watch."""
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
