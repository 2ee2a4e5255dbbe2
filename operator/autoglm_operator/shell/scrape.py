"""Gateways and workers asked directly, without Prometheus in between: for the pools whose load it does not know."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from pydantic import ValidationError

from autoglm_api import names
from autoglm_api.config import Demand
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import Load, PoolTarget
from autoglm_operator.scaling.readings import NoData, Problem, Reading
from autoglm_operator.shell.addresses import Address
from autoglm_operator.shell.demand import Gateway, Said, load_of
from autoglm_operator.shell.fetch_page import Pages
from autoglm_operator.shell.prometheus.replicas import SHARES, PoolKey
from autoglm_operator.shell.prometheus.wanted import Kind, kind_of
from autoglm_operator.shell.share import Share
from autoglm_operator.shell.worker_page import percentages, reading_of

DEPLOYMENTS_AT_ONCE: Final = 16
WORKERS_OF_A_POOL: Final = 32
"""More replicas of one pool than this are not asked; the rest count as silent."""
_FORGET_SECONDS: Final = 300.0
_NOT_ASKED: Final = NoData(Problem.TIMEOUT, "no time to ask")

Find = Callable[[ObjectKey], Awaitable[Sequence[Address]]]
Page = Mapping[Kind, tuple[float, ...]] | NoData


class DirectScrape:
    """Asks the pods of deployments; keeps what they said for the rates of the next time."""

    def __init__(self, gateways: Find, workers: Find, pages: Pages) -> None:
        self._find_gateways = gateways
        self._find_workers = workers
        self._pages = pages
        self._gateways: dict[ObjectKey, dict[Address, Gateway]] = {}
        self._workers: dict[PoolKey, list[Page]] = {}
        self._asked_at: dict[ObjectKey, float] = {}

    async def ask(self, targets: Mapping[ObjectKey, Mapping[str, PoolTarget]], seconds: float) -> None:
        """Ask about these deployments, for at most so long; who was asked longest ago comes first."""
        self._forget_old()
        turn = asyncio.Semaphore(DEPLOYMENTS_AT_ONCE)
        listed = sorted(targets, key=lambda key: self._asked_at.get(key, 0.0))
        for key in listed:
            self._doubt(key)
        tasks = [asyncio.create_task(self._ask(key, targets[key], turn)) for key in listed]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=seconds)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def load(self, key: PoolKey, target: PoolTarget, share: Share) -> Load:
        """Return what was answered about a pool the last time that it was asked about."""
        gateways = self._gateways.get(key.deployment, {}).values()
        signals = {signal.key: self._of_workers(kind_of(signal), key) for signal in target.scaling.signals}
        return replace(load_of(gateways, key.pool, target.serves, share), signals=signals)

    def _of_workers(self, kind: Kind | None, key: PoolKey) -> Reading:
        if kind not in SHARES or key not in self._workers:
            return NoData(Problem.MISSING, "replicas are not asked for it directly")
        return reading_of(kind, self._workers[key])

    def _doubt(self, key: ObjectKey) -> None:
        """What is known of pods that do not answer in time this time must not pass for an answer."""
        for gateway in self._gateways.get(key, {}).values():
            gateway.said = _NOT_ASKED
        self._workers = {pool: pages for pool, pages in self._workers.items() if pool.deployment != key}

    async def _ask(self, key: ObjectKey, pools: Mapping[str, PoolTarget], turn: asyncio.Semaphore) -> None:
        async with turn:
            self._asked_at[key] = time.monotonic()
            found = await self._find_gateways(key)
            before = self._gateways.get(key, {})
            self._gateways[key] = {address: before.get(address, Gateway()) for address in found}
            asking = [self._ask_gateway(address, of) for address, of in self._gateways[key].items()]
            await asyncio.gather(*asking, self._ask_workers(key, pools))

    async def _ask_gateway(self, address: Address, gateway: Gateway) -> None:
        said = _demand(await self._pages.get(address, names.PATH_DEMAND), address)
        gateway.take(said, time.monotonic())

    async def _ask_workers(self, key: ObjectKey, pools: Mapping[str, PoolTarget]) -> None:
        wanted = {pool for pool, of in pools.items() if any(kind_of(one) in SHARES for one in of.scaling.signals)}
        if not wanted:
            return
        found = await self._find_workers(key)
        for pool in wanted:
            ours = [address for address in found if address.pool == pool]
            pages = await asyncio.gather(*(self._page(address) for address in ours[:WORKERS_OF_A_POOL]))
            self._workers[PoolKey(key, pool)] = [*pages, *[_NOT_ASKED] * len(ours[WORKERS_OF_A_POOL:])]

    async def _page(self, address: Address) -> Page:
        page = await self._pages.get(address, names.PATH_METRICS)
        try:
            return page if isinstance(page, NoData) else percentages(page.decode(errors="replace"))
        except ValueError as error:
            return NoData(Problem.BAD_REPLY, f"{address.pod}: {error}"[:200])

    def _forget_old(self) -> None:
        oldest = time.monotonic() - _FORGET_SECONDS
        for key in [key for key, at in self._asked_at.items() if at < oldest]:
            self._doubt(key)
            del self._asked_at[key]
            self._gateways.pop(key, None)


def _demand(page: bytes | NoData, address: Address) -> Said:
    if isinstance(page, NoData):
        return page
    try:
        return Demand.model_validate_json(page)
    except ValidationError as error:
        return NoData(Problem.BAD_REPLY, f"{address.pod}: {error.error_count()} errors in its demand")
