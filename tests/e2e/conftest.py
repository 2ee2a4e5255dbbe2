"""One real node for the whole tier, with the operator installed by Helm; each module has a shop of its own."""

from collections.abc import Iterator
from typing import Any

import pytest

from autoglm_demo import ground
from autoglm_localcluster.cluster import Cluster
from support.clusters import real_node
from support.shops import Opener, Shop

__all__ = ["real_node"]


@pytest.fixture(scope="session")
def product(real_node: Cluster) -> Cluster:
    """The cluster with the chart installed; the operator may hand on the right to read Secrets with keys."""
    ground.install(real_node, {**ground.VALUES, "rbac.gatewayKeys": True})
    return real_node


@pytest.fixture(scope="module")
def open_shop(product: Cluster, request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Open shops in namespaces named after the module; all are closed when it ends."""
    opened: list[Shop] = []

    def open_one(suffix: str, *pools: dict[str, Any], gateways: int = 1) -> Shop:
        module = request.module.__name__.rpartition("test_e2e_")[2].replace("_", "-")
        shop = Shop.open(product, f"e2e-{module}-{suffix}", *pools, gateways=gateways)
        opened.append(shop)
        return shop

    yield open_one
    for shop in opened:
        shop.close()
