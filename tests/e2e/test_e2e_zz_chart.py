"""The chart goes and comes back while the shop is open. The last module of the tier, since it takes the operator."""

import asyncio

import pytest

from autoglm_api import names
from autoglm_demo import ground
from autoglm_demo.load import endless
from autoglm_demo.records import failures
from autoglm_localcluster.cluster import Cluster
from autoglm_shop.task import Kind
from support.shops import NAME, Opener, Shop, gone, pool

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shop(open_shop: Opener) -> Shop:
    return open_shop("one", pool("light", "Simple", 1, 1), pool("large", "Complex", 1, 1))


def uids(shop: Shop) -> set[str]:
    return {pod["metadata"]["uid"] for pod in shop.get("pods")["items"]}


async def test_the_shop_stays_open_without_the_operator_and_is_taken_over_again(product: Cluster, shop: Shop) -> None:
    before = uids(shop)
    traffic = shop.traffic()
    async with traffic.shoppers(2, endless(9, Kind.SIMPLE)):
        await asyncio.to_thread(ground.uninstall, product)
        assert gone(product, "deployment", "--namespace", ground.SYSTEM_NAMESPACE, ground.RELEASE)
        await asyncio.sleep(3)
        assert "shop" in shop.kubectl("get", "agd")
        await asyncio.to_thread(ground.install, product)
        await shop.patch({"op": "replace", "path": "/spec/queue/maxQueries", "value": 77})
        shop.kubectl("wait", f"agd/{NAME}", "--for=condition=Ready", "--timeout=60s")
    traffic.wire.close()
    assert failures(traffic.records) == {}
    assert uids(shop) == before
    config = shop.get("configmap", names.gateway_name(NAME))["data"][names.GATEWAY_CONFIG_KEY]
    assert '"maxQueries":77' in config.replace(" ", "")
