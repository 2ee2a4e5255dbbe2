"""Nothing accepted is lost when things change on purpose: a rollout, a smaller pool, a new gateway."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from autoglm_api import names
from autoglm_demo.load import Traffic, endless
from autoglm_demo.records import failures
from autoglm_shop.task import Kind
from support.shops import NAME, Opener, Shop, eventually, pool

pytestmark = pytest.mark.e2e

LIGHT = "/spec/pools/0"


@pytest.fixture(scope="module")
def shop(open_shop: Opener) -> Shop:
    return open_shop("one", pool("light", "Simple", 2, 3), pool("large", "Complex", 1, 1))


@asynccontextmanager
async def crowd(shop: Shop) -> AsyncIterator[Traffic]:
    """Streams and whole answers on keep-alive connections, without a pause, as long as the block lasts."""
    traffic = shop.traffic()
    async with AsyncExitStack() as shoppers:
        for kind, stream in ((Kind.SIMPLE, True), (Kind.SIMPLE, False), (Kind.COMPLEX, True)):
            await shoppers.enter_async_context(traffic.shoppers(1, endless(6, kind), stream=stream))
        await asyncio.sleep(1)
        yield traffic
    traffic.wire.close()


def revisions(shop: Shop) -> set[str]:
    return {pod["metadata"]["labels"][names.LABEL_REVISION] for pod in shop.pods(names.COMPONENT_WORKER, "light")}


def uids(shop: Shop) -> set[str]:
    return {pod["metadata"]["uid"] for pod in shop.pods(names.COMPONENT_GATEWAY)}


async def test_a_smaller_pool_loses_none_of_the_accepted_queries(shop: Shop) -> None:
    await shop.wait_pods(names.COMPONENT_WORKER, 2, "light")
    async with crowd(shop) as traffic:
        await shop.patch(
            {"op": "replace", "path": f"{LIGHT}/scaling/minReplicas", "value": 1},
            {"op": "replace", "path": f"{LIGHT}/scaling/maxReplicas", "value": 1},
        )
        await shop.wait_pods(names.COMPONENT_WORKER, 1, "light", within_seconds=60)
        await asyncio.sleep(names.ENDPOINT_PROPAGATION_SECONDS + 2)
    assert failures(traffic.records) == {}
    assert len(traffic.records) > 20


async def test_a_changed_template_rolls_without_a_failed_query(shop: Shop) -> None:
    before = revisions(shop)
    async with crowd(shop) as traffic:
        annotations = {"example.com/change": "1"}
        await shop.patch({"op": "add", "path": f"{LIGHT}/template/annotations", "value": annotations})
        await eventually(lambda: bool(revisions(shop)) and not revisions(shop) & before, "only the new revision", 120)
        await asyncio.sleep(names.ENDPOINT_PROPAGATION_SECONDS + 2)
    assert failures(traffic.records) == {}
    await shop.wait_pods(names.COMPONENT_WORKER, 1, "light")
    assert shop.get("agd", NAME)["status"]["pools"][0]["revision"] in revisions(shop)


async def test_a_changed_gateway_rolls_without_a_failed_query(shop: Shop) -> None:
    (old,) = uids(shop)
    async with crowd(shop) as traffic:
        annotations = {"example.com/change": "1"}
        await shop.patch({"op": "add", "path": "/spec/gateway/template/annotations", "value": annotations})
        await eventually(lambda: old not in uids(shop), "only the new gateway", 90)
        await asyncio.sleep(names.ENDPOINT_PROPAGATION_SECONDS + 4)
    assert failures(traffic.records) == {}
