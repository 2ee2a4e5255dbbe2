"""The scaling loop and a real gateway: growth without Prometheus, and a sleeping pool that its first query wakes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from prometheus_client import CollectorRegistry

from autoglm_api.journal import journal_of
from autoglm_api.spec import QueryClass, Signal, SignalType
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.core.scaling_state import Saved
from autoglm_operator.scaling.model import PoolDecision, PoolTarget
from autoglm_operator.shell.addresses import Address
from autoglm_operator.shell.fetch_page import Pages
from autoglm_operator.shell.prometheus.absent import NoPrometheus
from autoglm_operator.shell.scaling_loop import ScalingLoop
from autoglm_operator.shell.scrape import DirectScrape
from autoglm_operator.shell.state_store import Make, StateUnreadError
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import LARGE, GatewayUnderTest, answer_name, config, pool, replica, running_gateway
from support.prometheus import Exporter
from support.scaling_pools import scaling

SHOP = ObjectKey("shop", "assistant")
QUEUE = Signal(type=SignalType.QUEUED_QUERIES_PER_REPLICA, target="4")
KV = Signal(type=SignalType.KV_CACHE_USE)


class Store:
    """Keeps the texts of one operator for the next one."""

    def __init__(self) -> None:
        self.saved: dict[ObjectKey, Saved] = {}
        self.readable = True

    async def load(self, key: ObjectKey) -> Saved | None:
        if not self.readable:
            raise StateUnreadError("the API server is away")
        return self.saved.get(key)

    def save(self, key: ObjectKey, make: Make, *, changed: bool) -> None:
        del changed
        self.saved[key] = make()

    def forget(self, key: ObjectKey) -> None:
        self.saved.pop(key, None)


class World:
    """One deployment whose pools have whatever size was decided last."""

    def __init__(self, **sizes: int) -> None:
        self.sizes = sizes
        self.decisions: list[tuple[str, PoolDecision]] = []
        self.workers: list[Address] = []
        self.gateways: list[Address] = []

    def targets(self) -> Mapping[ObjectKey, Mapping[str, PoolTarget]]:
        return {SHOP: {name: self.target(name, size) for name, size in self.sizes.items()}}

    def target(self, name: str, size: int) -> PoolTarget:
        serves = QueryClass.COMPLEX if name == "large" else QueryClass.SIMPLE
        return PoolTarget(scaling(0, 20, signals=[QUEUE, KV]), size, size, rolling_out=False, serves=serves)

    def publish(self, _key: ObjectKey, name: str, decision: PoolDecision) -> None:
        self.decisions.append((name, decision))
        self.sizes[name] = decision.replicas

    async def find_gateways(self, _key: ObjectKey) -> Sequence[Address]:
        return self.gateways

    async def find_workers(self, _key: ObjectKey) -> Sequence[Address]:
        return self.workers

    async def until(self, accept: Callable[[str, PoolDecision], bool]) -> PoolDecision:
        """Return the first decision that is as expected."""
        async with asyncio.timeout(10):
            while True:
                for name, decision in self.decisions:
                    if accept(name, decision):
                        return decision
                await asyncio.sleep(0.01)


@asynccontextmanager
async def scaled(world: World, interval: float = 0.25, store: Store | None = None) -> AsyncIterator[ScalingLoop]:
    pages = Pages()
    direct = DirectScrape(world.find_gateways, world.find_workers, pages)
    loop = ScalingLoop(
        NoPrometheus(),
        world.targets,
        world.publish,
        interval,
        direct=direct,
        store=store,
        registry=CollectorRegistry(),
    )
    task = asyncio.create_task(loop.run())
    yield loop
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await pages.aclose()


def admin_of(gate: GatewayUnderTest) -> Address:
    return Address("gateway-0", "127.0.0.1", gate.admin_port)


async def never(_request: Request, _responder: Responder) -> None:
    await asyncio.Event().wait()


async def test_the_gateways_tell_what_waits_while_prometheus_is_away() -> None:
    light = pool("light", QueryClass.SIMPLE, concurrency_per_replica=1)
    world = World(light=1, large=1)
    async with replica(never) as busy, running_gateway(config(light, LARGE), light=[busy.port]) as gate:
        world.gateways = [admin_of(gate)]
        waiting = [asyncio.create_task(gate.chat()) for _ in range(13)]
        async with scaled(world):
            grown = await world.until(lambda name, decision: name == "light" and decision.replicas == 3)
        assert "12" in grown.message
        await cancel(waiting)


async def test_a_dead_gateway_among_them_makes_it_a_lower_bound() -> None:
    world = World(light=6, large=1)
    async with running_gateway() as gate:
        world.gateways = [admin_of(gate), Address("gateway-1", "127.0.0.1", 1)]
        async with scaled(world):
            await world.until(lambda *_: len(world.decisions) >= 8)
        assert {decision.replicas for name, decision in world.decisions if name == "light"} == {6}
        assert not world.decisions[0][1].metrics_available


async def test_the_first_query_wakes_a_sleeping_pool_within_a_second() -> None:
    light = pool("light", QueryClass.SIMPLE, may_sleep=True)
    world = World(light=0, large=1)
    async with replica(answer_name) as one, running_gateway(config(light, LARGE)) as gate:
        world.gateways = [admin_of(gate)]
        async with scaled(world, interval=60):
            asleep = await world.until(lambda name, _: name == "light")
            assert asleep.replicas == 0
            asked = time.monotonic()
            query = asyncio.create_task(gate.chat())
            await world.until(lambda name, decision: name == "light" and decision.replicas == 1)
            assert time.monotonic() - asked < 1.0
            gate.locate(light=[one.port])
            assert (await query).status == 200


async def test_workers_tell_their_cache_while_prometheus_is_away() -> None:
    full = '{{kv_cache_block_type="{}",model="m"}} {}\n'
    metric = "nv_trt_llm_kv_cache_block_metrics"
    worker = Exporter(metric + full.format("used", 950) + metric + full.format("max", 1000))
    world = World(light=2, large=1)
    host, port = worker.address.split(":")
    world.workers = [Address("w-0", host, int(port), "light"), Address("w-1", host, int(port), "light")]
    async with running_gateway() as gate:
        world.gateways = [admin_of(gate)]
        async with scaled(world):
            told = await world.until(lambda name, _: name == "light")
    row = next(row for row in told.proposals if row.signal == KV.key)
    assert row.value == "95"
    worker.stop()


async def test_a_new_operator_goes_on_where_the_old_one_was() -> None:
    store, light = Store(), pool("light", QueryClass.SIMPLE, concurrency_per_replica=1)
    async with replica(never) as busy, running_gateway(config(light, LARGE), light=[busy.port]) as gate:
        waiting = [asyncio.create_task(gate.chat()) for _ in range(13)]
        world = World(light=1, large=1)
        world.gateways = [admin_of(gate)]
        async with scaled(world, store=store):
            await world.until(lambda name, decision: name == "light" and decision.replicas == 3)
        (entry,) = [entry for entry in journal_of(store.saved[SHOP].journal) if entry.decision.replicas == 3]
        assert (entry.pool, entry.before) == ("light", 1)

        store.readable = False
        after = World(light=3, large=1)
        after.gateways = world.gateways
        async with scaled(after, store=store):
            await asyncio.sleep(0.5)
            assert not after.decisions, "nothing is decided before it is known what was"
            store.readable = True
            await after.until(lambda name, _: name == "light")
        journal = [
            (entry.pool, entry.before, entry.decision.replicas) for entry in journal_of(store.saved[SHOP].journal)
        ]
        assert ("light", 1, 3) in journal
        await cancel(waiting)


async def cancel(tasks: Sequence["asyncio.Task[object]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
