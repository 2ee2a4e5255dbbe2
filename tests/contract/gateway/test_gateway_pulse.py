"""Probes of a gateway whose event loop is busy or stands still, and what clients of such a one are told."""

import asyncio
import http.client
import socket
import time
from collections.abc import Iterator

import pytest

from autoglm_api import names
from autoglm_gateway.app import Gateway, Settings
from autoglm_gateway.fleet import Endpoints, Fleet
from autoglm_gateway.pulse import DEAD_SECONDS, ProbeServer, Pulse
from autoglm_transport.client import UpstreamPool
from support.gateways import chat_body, config
from support.prometheus import free_port
from support.raw_http import HOST


def asked(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode().strip()
    finally:
        connection.close()


@pytest.fixture
def pulse() -> Pulse:
    return Pulse(time.monotonic())


@pytest.fixture
def probes(pulse: Pulse) -> Iterator[int]:
    server = ProbeServer(pulse)
    yield server.start(HOST, 0)
    server.stop()


def test_probes_say_what_the_loop_said_last(pulse: Pulse, probes: int) -> None:
    assert asked(probes, names.PATH_READYZ) == (503, "starting")
    assert asked(probes, names.PATH_HEALTHZ) == (200, "alive")
    pulse.beat(time.monotonic(), True, "ready")
    assert asked(probes, names.PATH_READYZ) == (200, "ready")
    pulse.beat(time.monotonic() - DEAD_SECONDS - 1, True, "ready")
    assert asked(probes, names.PATH_HEALTHZ)[0] == 503
    assert asked(probes, names.PATH_READYZ)[0] == 503
    assert asked(probes, "/metrics")[0] == 404


def test_a_prober_that_says_nothing_keeps_no_other_waiting(pulse: Pulse, probes: int) -> None:
    silent = [socket.create_connection((HOST, probes)) for _ in range(5)]
    began = time.monotonic()
    assert asked(probes, names.PATH_HEALTHZ)[0] == 200
    assert time.monotonic() - began < 1.5, "before the silent ones are given up"
    for one in silent:
        one.close()


def test_nothing_listens_after_the_end(pulse: Pulse) -> None:
    server = ProbeServer(pulse)
    port = server.start("", 0)
    assert asked(port, names.PATH_HEALTHZ)[0] == 200
    server.stop()
    with pytest.raises(OSError, match="refused"):
        asked(port, names.PATH_HEALTHZ)


async def known(fleet: Fleet) -> None:
    fleet.configure(config())
    fleet.locate(Endpoints({}))
    await asyncio.Event().wait()


async def test_a_gateway_whose_loop_is_held_up_is_not_taken_for_dead() -> None:
    port = free_port()
    gateway = Gateway(Settings(HOST, 0, 0, probe_port=port), known)
    await gateway.start()
    try:
        while (await asyncio.to_thread(asked, port, names.PATH_READYZ))[0] != 200:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.05)
        held = asyncio.create_task(asyncio.to_thread(_asked_while_held, port))
        await asyncio.sleep(0.1)
        time.sleep(1.5)  # noqa: ASYNC251 - this is the fault: nothing of the event loop runs
        took, answers = await held
        assert answers == [(200, "alive"), (200, "ready")]
        assert took < 1.0, "answered while the loop stood still"
    finally:
        await gateway.stop()


def _asked_while_held(port: int) -> tuple[float, list[tuple[int, str]]]:
    time.sleep(0.3)
    began = time.monotonic()
    answers = [asked(port, names.PATH_HEALTHZ), asked(port, names.PATH_READYZ)]
    return time.monotonic() - began, answers


async def test_a_gateway_that_is_far_behind_refuses_new_queries_at_once_with_retry_after() -> None:
    gateway = Gateway(Settings(HOST, 0, 0), known)
    port, admin = await gateway.start()
    client = UpstreamPool()
    try:
        for _ in range(5):
            gateway._woke(5.0)
        answer = await client.request(HOST, port, "POST", names.PATH_CHAT, (), chat_body())
        body = await answer.read(10_000)
        assert answer.status == 429
        assert int(answer.headers.get("retry-after") or 0) >= 1
        assert b"gateway_overloaded" in body
        answer.close()
        metrics = await client.request(HOST, admin, "GET", names.PATH_METRICS)
        page = await metrics.read(1_000_000)
        metrics.close()
        assert b'reason="gateway_overloaded"} 1.0' in page
        for _ in range(100):
            gateway._woke(0.0)
        answer = await client.request(HOST, port, "GET", names.PATH_MODELS)
        assert answer.status == 200
        answer.close()
    finally:
        await client.close()
        await gateway.stop()
