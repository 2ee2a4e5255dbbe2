"""Order of events that sockets give only now and then."""

import asyncio

from autoglm_transport.connection import Connection
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import HttpServer

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


async def answer(request: Request, responder: Responder) -> None:
    await responder.send(200)


async def test_a_client_that_leaves_before_its_handler_has_begun_is_not_counted_for_ever() -> None:
    server = HttpServer(answer, Limits())
    connection = Connection(server)
    connection.connection_made(asyncio.Transport())
    connection.data_received(GET)
    connection.connection_lost(None)
    for _ in range(3):
        await asyncio.sleep(0)
    assert (server.in_flight, await server.drain(0.01)) == (0, 0)
