"""Rates, latencies and users' own queries on a real Prometheus."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from autoglm_api import names
from autoglm_api.spec import QueryClass, Scaling, Signal, SignalType
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import Load, PoolTarget
from autoglm_operator.scaling.readings import Fresh, NoData, Problem, Reading
from autoglm_operator.shell.prometheus import PoolKey, Prometheus, wanted_by
from autoglm_operator.shell.share import Share
from support.prometheus import Exporter, prometheus_program
from support.prometheus import Prometheus as Server

SHOP = ObjectKey("shop", "assistant")
LABELS = {names.SERIES_LABEL_NAMESPACE: SHOP.namespace, names.SERIES_LABEL_DEPLOYMENT: SHOP.name}
PER_SECOND = 300
FIRST = Signal(type=SignalType.FIRST_TOKEN_LATENCY, target_milliseconds=200)
EACH = Signal(type=SignalType.PER_TOKEN_LATENCY, target_milliseconds=50)


def own(name: str, query: str, *, empty_means_zero: bool = False) -> Signal:
    return Signal(
        type=SignalType.PROMETHEUS, name=name, target="1", query=query, empty_means_zero=empty_means_zero or None
    )


OWN = {
    "good": own("good", 'sum(up{pool="light"}) * 21'),
    "scalar": own("scalar", "scalar(vector(7))"),
    "broken": own("broken", "sum(rate("),
    "several": own("several", "up"),
    "empty": own("empty", "nothing_like_it"),
    "zero": own("zero", "nothing_like_it_either", empty_means_zero=True),
    "nan": own("nan", "vector(0) / 0"),
    "slow": own("slow", "sum_over_time(count_over_time(up[10d:1ms])[10d:1ms])"),
}
SIGNALS = [FIRST, EACH, *OWN.values()]


class Gateway:
    """A gateway's counters that grow by a fixed rate, in the client library's own exposition."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        queued = Gauge(names.METRIC_GATEWAY_QUEUED, "q", ["pool"], registry=self.registry)
        flying = Gauge(names.METRIC_GATEWAY_IN_FLIGHT, "f", ["pool"], registry=self.registry)
        self.offered = Counter(names.METRIC_GATEWAY_OFFERED_TOKENS, "o", ["class"], registry=self.registry)
        self.served = Counter(names.METRIC_GATEWAY_SERVED_TOKENS, "s", ["pool"], registry=self.registry)
        self.waited = Histogram(names.METRIC_GATEWAY_QUEUE_SECONDS, "w", ["pool"], registry=self.registry)
        queued.labels("light").set(2)
        flying.labels("light").set(1)

    def second(self) -> str:
        self.offered.labels(QueryClass.SIMPLE).inc(PER_SECOND)
        self.served.labels("light").inc(PER_SECOND / 2)
        self.waited.labels("light").observe(0.5)
        return generate_latest(self.registry).decode()


class Worker:
    """A worker whose first tokens take about 0.1 s and whose others about 20 ms."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        buckets = (0.01, 0.02, 0.1, 0.2, 1.0)
        first, each = names.METRIC_NODE_FIRST_TOKEN_SECONDS, names.METRIC_NODE_PER_TOKEN_SECONDS
        self.first = Histogram(first, "f", buckets=buckets, registry=self.registry)
        self.each = Histogram(each, "e", buckets=buckets, registry=self.registry)

    def second(self, *, busy: bool) -> str:
        if busy:
            self.first.observe(0.09)
            self.each.observe(0.015)
        return generate_latest(self.registry).decode()


@pytest.fixture
def exporters() -> Iterator[list[Exporter]]:
    started = [Exporter(), Exporter(), Exporter()]
    yield started
    for exporter in started:
        exporter.stop()


@pytest.fixture
def server(tmp_path: Path, exporters: list[Exporter]) -> Iterator[Server]:
    program = prometheus_program()
    if program is None:
        pytest.skip("no prometheus program on PATH and none from apt-get download")
    labels = [LABELS, LABELS | {"pool": "light"}, LABELS | {"pool": "idle"}]
    running = Server(program, tmp_path, {one.address: of for one, of in zip(exporters, labels, strict=True)}).start()
    yield running
    running.stop()


async def traffic(exporters: list[Exporter]) -> None:
    """Serve the figures of another second every second."""
    gateway, busy, idle = Gateway(), Worker(), Worker()
    while True:
        exporters[0].text = gateway.second()
        exporters[1].text, exporters[2].text = busy.second(busy=True), idle.second(busy=False)
        await asyncio.sleep(1)


async def load_when(url: str, pool: str, accept: Callable[[Load], bool], share: Share) -> Load:
    target = PoolTarget(Scaling(signals=SIGNALS), 1, 1, rolling_out=False)
    client = Prometheus(url, deadline_seconds=3)
    load = Load(NoData(Problem.MISSING, ""), NoData(Problem.MISSING, ""))
    for _ in range(100):
        load = (await client.read(datetime.now(UTC), wanted_by(SIGNALS))).load(PoolKey(SHOP, pool), target, share)
        if accept(load):
            await client.aclose()
            return load
        await asyncio.sleep(0.2)
    raise AssertionError(f"last load: {load}")


def about(reading: Reading, value: float, share: float = 0.25) -> bool:
    return isinstance(reading, Fresh) and abs(reading.milli / 1000 - value) <= value * share


async def test_rates_latencies_and_own_queries_in_one_batch(server: Server, exporters: list[Exporter]) -> None:
    task = asyncio.create_task(traffic(exporters))
    half = Share(1, 2)
    light = await load_when(
        server.url,
        "light",
        lambda load: about(load.offered_tokens_now, PER_SECOND / 2) and about(load.signals[FIRST.key], 600),
        half,
    )
    assert about(light.offered_tokens, PER_SECOND / 2)
    assert about(light.served_tokens, PER_SECOND / 2)
    assert about(light.signals[EACH.key], 20), "milliseconds"

    idle = await load_when(server.url, "idle", lambda load: load.signals[FIRST.key] == Fresh(0), half)
    assert idle.signals[EACH.key] == Fresh(0), "measured, and nobody asked"
    task.cancel()

    answers = {name: light.signals[signal.key] for name, signal in OWN.items()}
    problems = {name: getattr(answer, "problem", None) for name, answer in answers.items()}
    assert (answers["good"], answers["scalar"], answers["zero"]) == (Fresh(21_000), Fresh(7000), Fresh(0))
    assert problems == {
        "good": None,
        "scalar": None,
        "zero": None,
        "broken": Problem.HTTP_STATUS,
        "several": Problem.DUPLICATE,
        "empty": Problem.MISSING,
        "nan": Problem.NOT_A_NUMBER,
        "slow": problems["slow"],
    }
    assert problems["slow"] in {Problem.TIMEOUT, Problem.HTTP_STATUS}, "it is refused or takes too long, by itself"
