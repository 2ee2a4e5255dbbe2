"""A process that is killed under load takes only its own open connections with it."""

import asyncio
from typing import Any

import pytest

from autoglm_api import names
from autoglm_demo.load import Traffic, endless
from autoglm_demo.records import Record
from autoglm_shop.task import Kind
from support.shops import CONCURRENCY, Opener, Shop, pool, sigkill

pytestmark = pytest.mark.e2e

SHOPPERS = 6
STREAMS = 5
BEFORE_SECONDS = 3.0
AFTER_SECONDS = 8.0
# Until the endpoints no longer name a dead gateway, a new connection may be refused; its query was never accepted.
ENDPOINT_SECONDS = 6.0


@pytest.fixture(scope="module")
def shop(open_shop: Opener) -> Shop:
    return open_shop("two", pool("light", "Simple", 1, 1), pool("large", "Complex", 2, 2), gateways=2)


async def killed_at(traffic: Traffic, victim: dict[str, Any]) -> float:
    """Run streams and a few whole answers, kill the pod's process amid them, and return when."""
    queries = endless(5, Kind.COMPLEX)
    async with traffic.shoppers(STREAMS, queries, stream=True), traffic.shoppers(SHOPPERS - STREAMS, queries):
        await asyncio.sleep(BEFORE_SECONDS)
        await asyncio.to_thread(sigkill, victim)
        at = traffic.now
        await asyncio.sleep(AFTER_SECONDS)
    traffic.wire.close()
    return at


def lost(records: list[Record]) -> list[Record]:
    return [record for record in records if not record.answered]


async def test_a_killed_worker_loses_only_the_streams_it_was_writing_and_says_so(shop: Shop) -> None:
    cut: list[Record] = []
    for number in (0, 1):
        await shop.wait_pods(names.COMPONENT_WORKER, 2, "large")
        traffic = shop.traffic()
        at = await killed_at(traffic, shop.ready_pods(names.COMPONENT_WORKER, "large")[number])
        failed = lost(traffic.records)
        assert len(failed) <= CONCURRENCY
        assert all(record.sent <= at <= record.done + 0.5 for record in failed), failed
        assert all(record.streamed and "error event" in record.error for record in failed), failed
        assert sum(record.answered and record.sent > at for record in traffic.records) > 20
        cut += failed
    assert cut  # streams are open at nearly every moment: with none cut twice, nothing was killed


async def test_a_killed_gateway_loses_only_its_own_connections(shop: Shop) -> None:
    await shop.wait_pods(names.COMPONENT_GATEWAY, 2)
    traffic = shop.traffic()
    victim = shop.ready_pods(names.COMPONENT_GATEWAY)[0]
    at = await killed_at(traffic, victim)
    failed = lost(traffic.records)
    cut = [record for record in failed if "connection ended" in record.error]
    assert len(cut) <= SHOPPERS
    assert all(record.sent <= at + 0.5 for record in cut), cut
    refused = [record for record in failed if record not in cut]
    assert all(at <= record.done <= at + ENDPOINT_SECONDS for record in refused), refused
    assert sum(record.answered and record.sent > at for record in traffic.records) > 20
    await shop.wait_pods(names.COMPONENT_GATEWAY, 2)
