"""The replicas of the soak, in a process of their own: they answer, stream, break off, refuse, hang, go and come back.

python benchmarks/soak/replicas.py PORT...
"""

import asyncio
import random
import sys
from typing import Final

import orjson
import uvloop

from autoglm_api import names
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import HttpServer

HOST: Final = "127.0.0.1"
REVISION: Final = (names.HEADER_REVISION, "r1")
ANSWER: Final = orjson.dumps(
    {
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "x" * 400}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 60, "completion_tokens": 100},
    }
)


def event(text: str, reason: str | None = None) -> bytes:
    """Return one event of a chat stream."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return b"data: " + orjson.dumps({"choices": [choice]}) + b"\n\n"


async def answer(request: Request, responder: Responder) -> None:
    """Answer one query; one in fifty goes wrong in some way."""
    luck = random.random()
    if luck < 0.01:
        await responder.send(503, [(names.HEADER_DRAINING, "1")])
    elif luck < 0.015:
        responder.abort()
    elif b'"stream":true' in request.body:
        await stream(request, responder, breaks=luck > 0.99)
    else:
        await asyncio.sleep(random.random() * 0.02)
        await responder.send(200, [("content-type", "application/json"), REVISION], ANSWER)


async def stream(request: Request, responder: Responder, *, breaks: bool) -> None:
    """Send events; long ones for clients that ask for many tokens."""
    many = 400 if b'"max_tokens":400' in request.body else 24
    responder.start(200, [("content-type", "text/event-stream"), REVISION])
    for number in range(many):
        await responder.write(event("word " * 8))
        if number % 8 == 0:
            await asyncio.sleep(0.005)
        if breaks and number == many // 2:
            responder.abort()
            return
    await responder.write(event("", "stop") + b"data: [DONE]\n\n")
    await responder.end()


async def run(port: int) -> None:
    """Serve on a port, and be away for a second now and then."""
    while True:
        server = HttpServer(answer, Limits())
        await server.start(HOST, port)
        await asyncio.sleep(random.uniform(10, 30))
        await server.close()
        await asyncio.sleep(1)


async def main() -> None:
    """Run a replica on every port."""
    async with asyncio.TaskGroup() as group:
        for port in sys.argv[1:]:
            group.create_task(run(int(port)))


if __name__ == "__main__":
    uvloop.run(main())
