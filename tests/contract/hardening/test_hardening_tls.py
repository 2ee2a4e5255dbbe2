"""The transport over TLS: who speaks it is served, who does not or never ends the handshake is dropped."""

import asyncio
import ssl
from pathlib import Path

from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder
from autoglm_transport.server import HttpServer
from support.certificates import pair
from support.raw_http import HOST, exchange, read_until_closed, request, serving, status_of


async def serve(request: Request, responder: Responder) -> None:
    await responder.send(200, [], b"served")


def contexts(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate of its own for `localhost`, and a client's that trusts it."""
    shown = pair()
    pem = directory / "tls.pem"
    pem.write_bytes(shown.certificate + shown.key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, shown.trusting()


async def test_requests_over_tls_are_served_and_plain_ones_are_not(tmp_path: Path) -> None:
    server_side, client_side = contexts(tmp_path)
    async with serving(serve) as (server, _):
        port = await server.start(HOST, 0, server_side)
        reader, writer = await asyncio.open_connection(HOST, port, ssl=client_side, server_hostname="localhost")
        writer.write(request())
        answer = await read_until_closed(reader)
        assert (status_of(answer), answer.endswith(b"served")) == (200, True)
        assert b"served" not in await exchange(port, request())
        writer.close()


async def test_a_handshake_that_never_ends_is_cut_off(tmp_path: Path) -> None:
    server_side, _ = contexts(tmp_path)
    server = HttpServer(serve, Limits(header_timeout_seconds=0.2))
    port = await server.start(HOST, 0, server_side)
    try:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        assert await exchange(port, b"\x16\x03\x01\x02\x00", seconds=3) == b""
        assert loop.time() - begun < 2
    finally:
        await server.close()
