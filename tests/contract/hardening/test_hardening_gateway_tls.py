"""The gateway over TLS: real certificates, real handshakes, replaced while connections are open."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from cryptography import x509

from autoglm_api import names
from autoglm_gateway.fleet import Fleet
from support.certificates import HOUR, NAME, Pair, pair
from support.gateways import GatewayUnderTest, chat_body, replica, running_gateway
from support.raw_http import HOST, eventually, exchange, read_until_closed, request, status_of

WHERE = "Secret shop-tls"
CHAT = request("POST", names.PATH_CHAT, body=chat_body())
CHAT_ON = request("POST", names.PATH_CHAT, body=chat_body(), close=False)

# Whether the client sees the alert or the reset first is chance.
REFUSED = (ssl.SSLError, ConnectionResetError)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def secure_gateway(*pairs: Pair) -> AsyncIterator[GatewayUnderTest]:
    async with replica() as light, running_gateway(times={"tls": True}, light=[light.port]) as gate:
        for one in pairs:
            gate.gateway.fleet.certify(WHERE, one.entries)
        yield gate


@asynccontextmanager
async def opened(port: int, trusted: ssl.SSLContext, name: str = NAME) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(HOST, port, ssl=trusted, server_hostname=name)
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


async def asked_once(port: int, trusted: ssl.SSLContext, name: str = NAME) -> int:
    """The status of one query on a connection of its own."""
    async with opened(port, trusted, name) as streams:
        return await asked(streams)


def serial_of(writer: asyncio.StreamWriter) -> int:
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return x509.load_der_x509_certificate(shown).serial_number


async def asked(streams: Streams) -> int:
    """Send one query on an open connection and read its answer's head and body."""
    reader, writer = streams
    writer.write(CHAT_ON)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
    await reader.readexactly(int(length.split(b":")[1]))
    return status_of(head)


async def series(gate: GatewayUnderTest, name: str) -> float:
    text = (await gate.send("GET", names.PATH_METRICS, admin=True)).body.decode()
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith(f"{name} ")))


async def test_queries_are_answered_over_tls_and_in_clear_text_never() -> None:
    shown = pair()
    async with secure_gateway(shown) as gate:
        async with opened(gate.port, shown.trusting("http/1.1")) as (reader, writer):
            session = writer.get_extra_info("ssl_object")
            assert (session.version(), session.selected_alpn_protocol()) == ("TLSv1.3", "http/1.1")
            writer.write(CHAT)
            assert status_of(await read_until_closed(reader)) == 200
        assert b"HTTP/1.1 200" not in await exchange(gate.port, CHAT)
        assert (await gate.send("GET", names.PATH_READYZ, admin=True)).status == 200, "probes need no certificate"


async def test_http_2_is_not_agreed_on() -> None:
    shown = pair()
    async with secure_gateway(shown) as gate, opened(gate.port, shown.trusting("h2")) as (_, writer):
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() is None


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_older_versions_of_tls_are_refused() -> None:
    shown = pair()
    async with secure_gateway(shown) as gate:
        for highest, served in ((ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)):
            client = shown.trusting()
            client.set_ciphers("DEFAULT:@SECLEVEL=0")
            client.minimum_version = ssl.TLSVersion.TLSv1
            client.maximum_version = highest
            if served:
                assert await asked_once(gate.port, client) == 200
            else:
                with pytest.raises(REFUSED):
                    await asked_once(gate.port, client)


async def test_a_new_certificate_is_shown_at_once_and_open_connections_live_on() -> None:
    old, new = pair(), pair(rsa_bits=2048)
    async with secure_gateway(old) as gate, opened(gate.port, old.trusting()) as before:
        assert await asked(before) == 200
        gate.gateway.fleet.certify(WHERE, new.entries)
        async with opened(gate.port, new.trusting()) as after:
            assert [serial_of(writer) for _, writer in (before, after)] == [old.serial, new.serial]
            assert [await asked(one) for one in (before, after)] == [200, 200]
        with pytest.raises(ssl.SSLCertVerificationError):
            await asked_once(gate.port, old.trusting())


async def test_a_resumed_session_does_not_keep_the_old_certificate() -> None:
    old, new = pair(), pair()
    async with secure_gateway(old) as gate:
        assert await exchanged(gate.port, old) == []
        gate.gateway.fleet.certify(WHERE, new.entries)
        assert await exchanged(gate.port, new) == []


async def exchanged(port: int, shown: Pair) -> list[bytes]:
    """Ask with the blocking client of the library, which keeps what it could resume; returns its session's ticket."""

    def ask() -> list[bytes]:
        with (
            socket.create_connection((HOST, port), timeout=5) as plain,
            shown.trusting().wrap_socket(plain, server_hostname=NAME) as secure,
        ):
            secure.sendall(CHAT)
            assert secure.recv(12) == b"HTTP/1.1 200"
            return [b"ticket"] if secure.session is not None and secure.session.has_ticket else []

    return await asyncio.to_thread(ask)


async def test_a_broken_secret_keeps_the_last_good_certificate_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    good, other = pair(), pair()
    async with secure_gateway(good) as gate:
        mixed = {names.TLS_CERTIFICATE_KEY: good.certificate, names.TLS_PRIVATE_KEY: other.key}
        for broken in (mixed, {}, pair(valid=(-2 * HOUR, -HOUR)).entries):
            gate.gateway.fleet.certify(WHERE, broken)
            assert await asked_once(gate.port, good.trusting()) == 200
            assert await series(gate, names.METRIC_GATEWAY_CERTIFICATE_BROKEN) == 1
        assert (await gate.send("GET", names.PATH_READYZ, admin=True)).status == 200
        gate.gateway.fleet.certify(WHERE, other.entries)
        assert await series(gate, names.METRIC_GATEWAY_CERTIFICATE_BROKEN) == 0
    told = [record.getMessage() for record in caplog.records if "cannot be used" in record.getMessage()]
    assert len(told) == 3
    assert all(WHERE in line and "the last good one stays" in line for line in told)
    assert good.key.decode() not in caplog.text


async def test_before_the_first_certificate_nobody_is_served_and_the_gateway_is_not_ready() -> None:
    shown = pair()
    async with secure_gateway() as gate:
        answer = await gate.send("GET", names.PATH_READYZ, admin=True)
        assert (answer.status, b"certificate" in answer.body) == (503, True)
        with pytest.raises(REFUSED):
            await asked_once(gate.port, shown.trusting())
        gate.gateway.fleet.certify(WHERE, shown.entries)
        assert await asked_once(gate.port, shown.trusting()) == 200
        assert (await gate.send("GET", names.PATH_READYZ, admin=True)).status == 200


async def test_a_client_without_a_server_name_is_served() -> None:
    shown = pair()
    async with secure_gateway(shown) as gate:
        client = shown.trusting()
        client.check_hostname = False
        assert await asked_once(gate.port, client, "") == 200


async def test_handshakes_that_never_end_are_cut_off_and_hold_up_nobody() -> None:
    shown = pair()
    async with secure_gateway(shown) as gate:
        gate.gateway._limits.header_timeout_seconds = 0.3
        await gate.gateway._server.start(HOST, 0, gate.gateway._certificates.context)
        port = gate.gateway._server._listeners[-1].sockets[0].getsockname()[1]
        slow = [asyncio.create_task(exchange(port, b"\x16\x03\x01\x02\x00", seconds=5)) for _ in range(50)]
        await asyncio.sleep(0)
        assert await asked_once(port, shown.trusting()) == 200
        begun = asyncio.get_running_loop().time()
        assert await asyncio.gather(*slow) == [b""] * 50
        assert asyncio.get_running_loop().time() - begun < 3


async def test_a_client_that_leaves_within_the_answer_frees_its_replica() -> None:
    shown = pair()
    async with secure_gateway(shown) as gate:
        async with opened(gate.port, shown.trusting()) as (_, writer):
            writer.write(CHAT_ON)
            writer.transport.abort()
        fleet: Fleet = gate.gateway.fleet
        await eventually(lambda: fleet.pools["light"].in_flight == 0)
        assert await asked_once(gate.port, shown.trusting()) == 200
