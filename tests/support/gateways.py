"""A gateway of ours in this process on real sockets, in front of scripted replicas."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from autoglm_api import names
from autoglm_api.config import GatewayConfig, GatewayPool
from autoglm_api.spec import MaxWaitSeconds, QueryClass, Queue
from autoglm_gateway.app import Gateway, Settings
from autoglm_gateway.balance import Address
from autoglm_gateway.fleet import Endpoints, Fleet
from autoglm_transport.client import UpstreamPool
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import Handler, HttpServer
from support.raw_http import HOST

DEPLOYMENT = "shop-assistant"
SIMPLE_PROMPT = "How much is the lamp?"
COMPLEX_PROMPT = "What is the total for 3 lamps and 2 mugs with a discount of 20 percent?"


def pool(name: str, serves: QueryClass, **settings: Any) -> GatewayPool:
    """A pool whose model is called `glm-<name>`."""
    defaults = {"model_name": f"glm-{name}", "concurrency_per_replica": 8}
    return GatewayPool(name=name, serves=serves, **(defaults | settings))


LIGHT = pool("light", QueryClass.SIMPLE)
LARGE = pool("large", QueryClass.COMPLEX)


def config(*pools: GatewayPool, **settings: Any) -> GatewayConfig:
    """A configuration with the pools light and large unless others are given; waits are those of tier Normal."""
    waits = MaxWaitSeconds(normal=settings.pop("max_wait_seconds", 30), interactive=0, urgent=0)
    queue = Queue(max_queries=settings.pop("max_queries", 100), max_wait_seconds=waits)
    defaults = {"queue": queue, "max_body_bytes": 65536}
    listed = list(pools) or [LIGHT, LARGE]
    return GatewayConfig(deployment=DEPLOYMENT, namespace="shop", pools=listed, **(defaults | settings))


def chat_body(prompt: str = SIMPLE_PROMPT, *, model: str = DEPLOYMENT, **fields: Any) -> bytes:
    """A chat completion request."""
    return orjson.dumps({"model": model, "messages": [{"role": "user", "content": prompt}], **fields})


def completion(text: str) -> bytes:
    """The answer of a chat completion that `openai` accepts."""
    message = {"role": "assistant", "content": text}
    return orjson.dumps(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        }
    )


@dataclass
class Replica:
    """A worker that answers as its handler says; counts are of real requests on a real socket."""

    port: int
    requests: list[Request] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    cancelled: int = 0


async def answer_name(request: Request, responder: Responder) -> None:
    """Answer at once."""
    await responder.send(200, [("content-type", "application/json")], completion("done"))


@asynccontextmanager
async def replica(handler: Handler = answer_name, *, port: int = 0) -> AsyncIterator[Replica]:
    """A scripted worker on a free port."""
    seen = Replica(port)

    async def handle(request: Request, responder: Responder) -> None:
        seen.requests.append(request)
        seen.in_flight += 1
        seen.most_in_flight = max(seen.most_in_flight, seen.in_flight)
        try:
            await handler(request, responder)
        except asyncio.CancelledError:
            seen.cancelled += 1
            raise
        finally:
            seen.in_flight -= 1

    server = HttpServer(handle, Limits())
    seen.port = await server.start(HOST, port)
    try:
        yield seen
    finally:
        await server.close()


def draining() -> Handler:
    """A worker that is going away."""

    async def handle(request: Request, responder: Responder) -> None:
        await responder.send(503, [(names.HEADER_DRAINING, "1")])

    return handle


@dataclass
class Answer:
    """A whole answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class GatewayUnderTest:
    """A running gateway and a client for it."""

    gateway: Gateway
    port: int
    admin_port: int
    client: UpstreamPool

    async def send(
        self,
        method: str = "POST",
        target: str = names.PATH_CHAT,
        body: bytes = b"",
        headers: Sequence[tuple[str, str]] = (),
        *,
        admin: bool = False,
    ) -> Answer:
        port = self.admin_port if admin else self.port
        async with await self.client.request(HOST, port, method, target, headers, body) as response:
            text = await response.read(10_000_000)
            return Answer(response.status, dict(response.headers.decoded()), text)

    async def chat(self, prompt: str = SIMPLE_PROMPT, **fields: Any) -> Answer:
        """Ask one question."""
        return await self.send(body=chat_body(prompt, **fields))

    def locate(self, gateways: int = 1, **ports: Sequence[int]) -> None:
        """Say which replicas are ready, by pool."""
        found: Mapping[str, Mapping[Address, str]] = {
            name: {Address(HOST, port): "r1" for port in listed} for name, listed in ports.items()
        }
        self.gateway.fleet.locate(Endpoints(found, gateways))


@asynccontextmanager
async def running_gateway(
    settings: GatewayConfig | None = None, *, gateways: int = 1, times: Mapping[str, float] | None = None, **ports: Any
) -> AsyncIterator[GatewayUnderTest]:
    """A gateway whose pools have replicas on these ports."""

    async def source(fleet: Fleet) -> None:
        fleet.configure(settings or config())
        await asyncio.Event().wait()

    seconds: dict[str, Any] = {"propagation_seconds": 0.0, **(times or {})}
    gateway = Gateway(Settings(host=HOST, port=0, admin_port=0, **seconds), source)
    port, admin_port = await gateway.start()
    await asyncio.sleep(0)
    client = UpstreamPool()
    under_test = GatewayUnderTest(gateway, port, admin_port, client)
    under_test.locate(gateways, **ports)
    try:
        yield under_test
    finally:
        await client.close()
        await gateway.stop()
