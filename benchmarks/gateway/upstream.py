"""A replica that answers at once: one JSON body, or an event stream of 64 chunks a millisecond apart.

`python upstream.py` prints its port. It is our own transport, so that it costs little of the machine.
"""

import asyncio
import sys

import uvloop

from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import HttpServer

CHUNKS = 64
ANSWER = b'{"id":"c","object":"chat.completion","choices":[{"message":{"role":"assistant","content":"14 euros"}}]}'
EVENT = b'data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"word "}}]}\n\n'


async def answer(request: Request, responder: Responder) -> None:
    """Answer a chat completion."""
    if b'"stream":true' not in request.body:
        await responder.send(200, [("content-type", "application/json")], ANSWER)
        return
    responder.start(200, [("content-type", "text/event-stream")])
    for _ in range(CHUNKS):
        await responder.write(EVENT)
        await asyncio.sleep(0.001)
    await responder.end()


async def serve() -> None:
    """Serve until the process is ended."""
    port = await HttpServer(answer, Limits()).start("127.0.0.1", 0)
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
