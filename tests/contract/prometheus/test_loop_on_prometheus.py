"""The scaling loop on a real Prometheus: grows under load, holds in an outage, shrinks a window after it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from autoglm_api import names
from autoglm_api.spec import Signal, SignalType
from autoglm_api.status import Reason
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import PoolDecision, PoolTarget
from autoglm_operator.shell.prometheus import Prometheus
from autoglm_operator.shell.scaling_loop import ScalingLoop
from support.prometheus import Exporter, prometheus_program
from support.prometheus import Prometheus as Server
from support.scaling_pools import scaling
from support.scaling_times import behavior, percent, pods

SHOP = ObjectKey("shop", "assistant")
WINDOW_SECONDS = 3
RULES = behavior(
    up={"policies": [pods(100, 1)]},
    down={"stabilizationWindowSeconds": WINDOW_SECONDS, "policies": [percent(100, 1)]},
)


SIGNALS = [
    Signal(type=SignalType.QUEUED_QUERIES_PER_REPLICA, target="4"),
    Signal(type=SignalType.CONCURRENCY, target="6"),
]


class Pool:
    """One pool whose size is whatever was decided last."""

    def __init__(self) -> None:
        self.size = 2
        self.decisions: list[PoolDecision] = []

    def targets(self) -> Mapping[ObjectKey, Mapping[str, PoolTarget]]:
        return {
            SHOP: {"light": PoolTarget(scaling(1, 20, RULES, signals=SIGNALS), self.size, self.size, rolling_out=False)}
        }

    def publish(self, _key: ObjectKey, _pool: str, decision: PoolDecision) -> None:
        self.decisions.append(decision)
        self.size = decision.replicas

    async def until(self, accept: Callable[[PoolDecision], bool]) -> PoolDecision:
        """Return the first decision from now on that is as expected."""
        seen = len(self.decisions)
        async with asyncio.timeout(20):
            while True:
                for decision in self.decisions[seen:]:
                    if accept(decision):
                        return decision
                await asyncio.sleep(0.05)


def in_flight(queries: int) -> str:
    rows = {names.METRIC_GATEWAY_QUEUED: 0, names.METRIC_GATEWAY_IN_FLIGHT: queries}
    return "".join(f'{metric}{{pool="light"}} {value}\n' for metric, value in rows.items())


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    started = Exporter(in_flight(6))
    yield started
    started.stop()


@pytest.fixture
def server(tmp_path: Path, exporter: Exporter) -> Iterator[Server]:
    program = prometheus_program()
    if program is None:
        pytest.skip("no prometheus program on PATH and none from apt-get download")
    labels = {names.SERIES_LABEL_NAMESPACE: SHOP.namespace, names.SERIES_LABEL_DEPLOYMENT: SHOP.name}
    running = Server(program, tmp_path, {exporter.address: labels}).start()
    yield running
    running.stop()


@pytest.fixture
async def pool(server: Server) -> AsyncIterator[Pool]:
    followed = Pool()
    client = Prometheus(server.url, deadline_seconds=1)
    loop = ScalingLoop(client, followed.targets, followed.publish, 0.25, registry=CollectorRegistry())
    task = asyncio.create_task(loop.run())
    yield followed
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await client.aclose()


async def test_growth_under_load(exporter: Exporter, pool: Pool) -> None:
    exporter.text = in_flight(60)
    grown = await pool.until(lambda decision: decision.replicas == 10)
    assert "Concurrency 60 / 6 per replica asks for 10" in grown.message


async def test_an_outage_holds_and_a_window_after_it_the_pool_shrinks(
    server: Server, exporter: Exporter, pool: Pool
) -> None:
    pool.size = 10
    exporter.text = in_flight(60)
    await pool.until(lambda decision: decision.metrics_available)
    server.stop()
    held = await pool.until(lambda decision: decision.reason is Reason.METRICS_MISSING)
    exporter.text = in_flight(6)
    await asyncio.sleep(WINDOW_SECONDS + 1)
    assert (held.replicas, pool.size) == (10, 10)

    server.start()
    recovered = await pool.until(lambda decision: decision.metrics_available)
    shrunk = await pool.until(lambda decision: decision.replicas < 10)
    assert (shrunk.at - recovered.at).total_seconds() >= WINDOW_SECONDS - 0.5
