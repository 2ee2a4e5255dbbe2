"""Load, seen by the real Prometheus, makes a pool of real engines grow; its end makes it shrink."""

import asyncio

import pytest

from autoglm_api import names
from autoglm_demo.load import endless
from autoglm_demo.records import failures
from autoglm_shop.task import Kind
from support.shops import NAME, Opener, Shop, pool

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shop(open_shop: Opener) -> Shop:
    return open_shop("pools", pool("light", "Simple", 1, 2), pool("large", "Complex", 1, 2))


async def test_both_pools_grow_under_load_and_shrink_after_it(shop: Shop) -> None:
    traffic = shop.traffic()
    async with traffic.shoppers(8, endless(7, Kind.SIMPLE)), traffic.shoppers(8, endless(8, Kind.COMPLEX)):
        await asyncio.gather(
            *(shop.wait_pods(names.COMPONENT_WORKER, 2, name, within_seconds=90) for name in ("light", "large"))
        )
        await asyncio.sleep(3)
    await asyncio.gather(
        *(shop.wait_pods(names.COMPONENT_WORKER, 1, name, within_seconds=90) for name in ("light", "large"))
    )
    traffic.wire.close()
    assert failures(traffic.records) == {}
    for one in shop.get("agd", NAME)["status"]["pools"]:
        assert one["lastDecision"]["replicas"] == 1
        assert "Concurrency" in one["lastDecision"]["message"]
        conditions = {condition["type"]: condition["status"] for condition in one["conditions"]}
        assert conditions["MetricsAvailable"] == "True"
