"""The client against a real Prometheus that scrapes exporters with the gateway's metric names."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autoglm_api import names
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import Load
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem
from autoglm_operator.shell.prometheus import Prometheus, PrometheusError
from support.prometheus import Exporter, prometheus_program
from support.prometheus import Prometheus as Server

SHOP = ObjectKey("shop", "assistant")
BANK = ObjectKey("bank", "assistant")


def gateway(**pools: tuple[float, float]) -> str:
    """Return a gateway's exposition: (queued, in flight) of each pool."""
    rows = []
    for pool, (queued, in_flight) in pools.items():
        rows.append(f'{names.METRIC_GATEWAY_QUEUED}{{pool="{pool}"}} {queued}')
        rows.append(f'{names.METRIC_GATEWAY_IN_FLIGHT}{{pool="{pool}"}} {in_flight}')
    return "\n".join(rows) + "\n"


def target(key: ObjectKey, **more: str) -> dict[str, str]:
    return {names.SERIES_LABEL_NAMESPACE: key.namespace, names.SERIES_LABEL_DEPLOYMENT: key.name, **more}


@pytest.fixture
def exporters() -> Iterator[list[Exporter]]:
    started = [Exporter(), Exporter(), Exporter(), Exporter()]
    yield started
    for exporter in started:
        exporter.stop()


@pytest.fixture
def server(tmp_path: Path, exporters: list[Exporter]) -> Iterator[Server]:
    """Scrape two gateways of shop, one of bank, and a worker of shop, which must not count as a gateway."""
    program = prometheus_program()
    if program is None:
        pytest.skip("no prometheus program on PATH and none from apt-get download")
    keys = [target(SHOP), target(SHOP), target(BANK), target(SHOP, pool="light")]
    exporters[0].text = gateway(light=(3, 8), large=(0, 1))
    exporters[1].text = gateway(light=(2, 6.5), large=(1, 1))
    exporters[2].text = gateway(light=(7, 7))
    exporters[3].text = f"{names.METRIC_NODE_IN_FLIGHT} 5\n"
    found = {exporter.address: labels for exporter, labels in zip(exporters, keys, strict=True)}
    running = Server(program, tmp_path, found).start()
    yield running
    running.stop()


async def load_when(
    client: Prometheus, key: ObjectKey, pool: str, accept: Callable[[Load], bool], seconds: float = 15
) -> Load:
    """Read until the load is as expected; the scrape and the staleness marker take a second or two."""
    load = Load(NoData(Problem.MISSING, ""), NoData(Problem.MISSING, ""))
    for _ in range(int(seconds / 0.2)):
        try:
            load = gauges((await client.read(datetime.now(UTC))).gateways.load(key, pool))
        except PrometheusError as error:
            load = Load(NoData(error.problem, error.detail), NoData(error.problem, error.detail))
        if accept(load):
            return load
        await asyncio.sleep(0.2)
    raise AssertionError(f"last load: {load}")


def gauges(load: Load) -> Load:
    """What the exporters here have: queue and flight, no counters."""
    return Load(load.queued, load.in_flight)


def is_fresh(load: Load) -> bool:
    return isinstance(load.queued, Fresh) and isinstance(load.in_flight, Fresh)


async def test_one_read_serves_every_resource_and_survives_what_happens_to_its_sources(
    server: Server, exporters: list[Exporter]
) -> None:
    client = Prometheus(server.url, fresh_seconds=10)
    full = Load(Fresh(5000), Fresh(14500))
    assert await load_when(client, SHOP, "light", lambda load: load == full) == full
    assert await load_when(client, SHOP, "large", is_fresh) == Load(Fresh(1000), Fresh(2000))
    assert await load_when(client, BANK, "light", is_fresh) == Load(Fresh(7000), Fresh(7000))

    metrics = await client.read(datetime.now(UTC))
    for key, pool in ((SHOP, "unknown"), (ObjectKey("shop", "other"), "light")):
        assert isinstance(metrics.gateways.load(key, pool).queued, NoData)

    exporters[1].text = gateway(light=(float("nan"), -1), large=(1, 1))
    broken = await load_when(client, SHOP, "light", lambda load: not is_fresh(load))
    assert isinstance(broken.queued, AtLeast)
    assert (broken.queued.milli, broken.queued.problem) == (3000, Problem.PARTIAL)
    assert "1 of 2 gateways report" in broken.queued.detail

    exporters[2].stop()
    gone = await load_when(client, BANK, "light", lambda load: isinstance(load.queued, NoData))
    assert not isinstance(gone.in_flight, Fresh)

    server.stop()
    with pytest.raises(PrometheusError) as refused:
        await client.read(datetime.now(UTC))
    assert refused.value.problem is Problem.UNREACHABLE

    exporters[1].text = gateway(light=(2, 6.5), large=(1, 1))
    server.start()
    assert await load_when(client, SHOP, "light", is_fresh) == full
    await client.aclose()
