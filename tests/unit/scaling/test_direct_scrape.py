import asyncio
from collections.abc import Sequence

import pytest

from autoglm_api.config import Demand, PoolDemand
from autoglm_operator.core.keys import JSON, ObjectKey
from autoglm_operator.scaling.model import Load, PoolTarget
from autoglm_operator.scaling.readings import Fresh, NoData, Problem
from autoglm_operator.shell.addresses import Address, address_of
from autoglm_operator.shell.fetch_page import Pages
from autoglm_operator.shell.prometheus import PoolKey
from autoglm_operator.shell.scrape import DirectScrape
from autoglm_operator.shell.share import ALL
from support.scaling_pools import scaling

SHOP = ObjectKey("shop", "assistant")
TARGET = PoolTarget(scaling(1, 9), 1, 1, rolling_out=False)
GATEWAY = Address("gateway-0", "10.0.0.1", 9090)
SAID = Demand(pools=[PoolDemand(pool="light", queued=3, in_flight=0, ready_replicas=1)])


class Answers(Pages):
    """Pages that a test gives."""

    def __init__(self, page: bytes | NoData) -> None:
        super().__init__()
        self.page = page
        self.hangs = False

    async def get(self, _address: Address, _path: str) -> bytes | NoData:
        if self.hangs:
            await asyncio.Event().wait()
        return self.page


async def one_gateway(_key: ObjectKey) -> Sequence[Address]:
    return [GATEWAY]


async def nobody(_key: ObjectKey) -> Sequence[Address]:
    return []


async def asked(scrape: DirectScrape) -> Load:
    await scrape.ask({SHOP: {"light": TARGET}}, 0.05)
    return scrape.load(PoolKey(SHOP, "light"), TARGET, ALL)


async def test_what_was_said_before_is_no_answer_now() -> None:
    pages = Answers(SAID.model_dump_json(by_alias=True).encode())
    scrape = DirectScrape(one_gateway, nobody, pages)
    assert (await asked(scrape)).queued == Fresh(3000)
    pages.hangs = True
    assert (await asked(scrape)).queued == NoData(Problem.TIMEOUT, "no time to ask")


@pytest.mark.parametrize("page", [b"", b"{}", b'{"pools":[{}]}', b"\xff", b'{"pools":[{"pool":"light","queued":-1}]}'])
async def test_a_page_that_is_no_demand_is_no_load(page: bytes) -> None:
    queued = (await asked(DirectScrape(one_gateway, nobody, Answers(page)))).queued
    assert isinstance(queued, NoData)
    assert queued.problem is Problem.BAD_REPLY


async def test_no_gateway_is_no_load() -> None:
    assert isinstance((await asked(DirectScrape(nobody, nobody, Answers(b"")))).queued, NoData)


def pod(phase: str = "Running", ip: str = "10.0.0.1", port: str = "9090") -> JSON:
    metadata = {"name": "gateway-0", "annotations": {"prometheus.io/port": port}, "labels": {}}
    return {"metadata": metadata, "status": {"phase": phase, "podIP": ip}}


@pytest.mark.parametrize(
    ("given", "address"),
    [
        (pod(), GATEWAY),
        (pod(phase="Pending"), None),
        (pod(ip=""), None),
        (pod(port="http"), None),
        (pod(port="0"), None),
        (pod(port="70000"), None),
        ({"metadata": {"name": "x"}}, None),
    ],
)
def test_where_a_pod_answers(given: JSON, address: Address | None) -> None:
    assert address_of(given) == address


def test_an_address_of_version_six_is_in_brackets() -> None:
    assert Address("x", "fd00::1", 9090).url == "http://[fd00::1]:9090"
