"""A process that is killed under load takes only its own open connections with it."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest

from autoglm_api import names
from autoglm_demo.load import Traffic, endless
from autoglm_demo.records import Record
from autoglm_shop.task import Kind
from support.shops import CONCURRENCY, Opener, Shop, pool, sigkill

pytestmark = pytest.mark.e2e

SHOPPERS = 6
BEFORE_SECONDS = 3.0
AFTER_SECONDS = 10.0
# Until the endpoints no longer name a dead gateway, a new connection may be refused; its query was never accepted.
ENDPOINT_SECONDS = 8.0


@pytest.fixture(scope="module")
def shop(open_shop: Opener) -> Shop:
    return open_shop("two", pool("light", "Simple", 2, 2), pool("large", "Complex", 1, 1), gateways=2)


async def killed_at(shop: Shop, traffic: Traffic, victim: dict[str, Any], *, crowd: int = SHOPPERS) -> float:
    """Run streams and whole answers, kill the pod's process amid them, and return when."""
    async with AsyncExitStack() as shoppers:
        for stream in (True, False):
            await shoppers.enter_async_context(traffic.shoppers(crowd // 2, endless(5, Kind.SIMPLE), stream=stream))
        await asyncio.sleep(BEFORE_SECONDS)
        await asyncio.to_thread(sigkill, victim)
        at = traffic.now
        await asyncio.sleep(AFTER_SECONDS)
    traffic.wire.close()
    return at


def lost(records: list[Record]) -> list[Record]:
    return [record for record in records if not record.answered]


async def test_a_killed_worker_loses_only_what_it_was_answering(shop: Shop) -> None:
    traffic = shop.traffic()
    victim = shop.ready_pods(names.COMPONENT_WORKER, "light")[0]
    at = await killed_at(shop, traffic, victim)
    assert len(traffic.records) > 50
    assert len(lost(traffic.records)) <= CONCURRENCY
    assert all(record.sent <= at <= record.done + 0.5 for record in lost(traffic.records)), lost(traffic.records)
    await shop.wait_pods(names.COMPONENT_WORKER, 2, "light")


async def test_a_killed_gateway_loses_only_its_own_connections(shop: Shop) -> None:
    await shop.wait_pods(names.COMPONENT_GATEWAY, 2)
    traffic = shop.traffic()
    victim = shop.ready_pods(names.COMPONENT_GATEWAY)[0]
    at = await killed_at(shop, traffic, victim)
    failed = lost(traffic.records)
    cut = [record for record in failed if "connection ended" in record.error]
    assert len(cut) <= SHOPPERS
    assert all(record.sent <= at + 0.5 for record in cut), cut
    refused = [record for record in failed if record not in cut]
    assert all(at <= record.done <= at + ENDPOINT_SECONDS for record in refused), refused
    assert sum(record.answered and record.sent > at for record in traffic.records) > 50
    await shop.wait_pods(names.COMPONENT_GATEWAY, 2)
