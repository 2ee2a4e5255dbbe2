"""Signals from the expositions of Triton, vLLM, DCGM and Kafka exporters, scraped by a real Prometheus."""

import asyncio
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autoglm_api import names
from autoglm_api.spec import MemorySource, Scaling, Signal, SignalType
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import PoolTarget
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading
from autoglm_operator.shell.prometheus import PoolKey, Prometheus, wanted_by
from autoglm_operator.shell.share import ALL
from support.prometheus import Exporter, prometheus_program
from support.prometheus import Prometheus as Server

SHOP = ObjectKey("shop", "assistant")
EXPOSITIONS = Path(__file__).parents[2] / "support" / "expositions"
PODS = ("assistant-large-0a1b2c3d-6f5d8-aaaaa", "assistant-large-0a1b2c3d-6f5d8-bbbbb")


def recorded(name: str) -> str:
    return (EXPOSITIONS / f"{name}.txt").read_text()


def used_blocks(text: str, used: str) -> str:
    return re.sub(r'(kv_cache_block_type="used".*) \d+', rf"\1 {used}", text)


def worker(pool: str, pod: str = "") -> dict[str, str]:
    labels = {names.SERIES_LABEL_NAMESPACE: SHOP.namespace, names.SERIES_LABEL_DEPLOYMENT: SHOP.name}
    return labels | {names.SERIES_LABEL_POOL: pool} | ({"pod": pod} if pod else {})


@pytest.fixture
def exporters() -> Iterator[dict[str, Exporter]]:
    triton = recorded("triton_tensorrtllm")
    started = {
        "triton-0": Exporter(triton),
        "triton-1": Exporter(used_blocks(triton, "625")),
        "vllm": Exporter(recorded("triton_vllm")),
        "vllm-alone": Exporter(recorded("vllm")),
        "dcgm-pod-0": Exporter(""),
        "dcgm-pod-1": Exporter(""),
        "dcgm": Exporter(recorded("dcgm_exporter")),
        "kafka": Exporter(recorded("kafka_exporter")),
        "kafka-twin": Exporter(recorded("kafka_exporter")),
        "gateway": Exporter(f'{names.METRIC_GATEWAY_QUEUED}{{pool="light"}} 0\n'),
    }
    yield started
    for exporter in started.values():
        exporter.stop()


@pytest.fixture
def server(tmp_path: Path, exporters: dict[str, Exporter]) -> Iterator[Server]:
    program = prometheus_program()
    if program is None:
        pytest.skip("no prometheus program on PATH and none from apt-get download")
    labels = {
        "triton-0": worker("light"),
        "triton-1": worker("light"),
        "vllm": worker("vllm"),
        "vllm-alone": worker("vllm-alone"),
        "dcgm-pod-0": worker("large", PODS[0]),
        "dcgm-pod-1": worker("large", PODS[1]),
        "dcgm": {"job": "dcgm"},
        "kafka": {"job": "kafka"},
        "kafka-twin": {"job": "kafka"},
        "gateway": {names.SERIES_LABEL_NAMESPACE: SHOP.namespace, names.SERIES_LABEL_DEPLOYMENT: SHOP.name},
    }
    running = Server(program, tmp_path, {exporters[name].address: of for name, of in labels.items()}).start()
    yield running
    running.stop()


@pytest.fixture
def url(server: Server) -> str:
    return server.url


KV = Signal(type=SignalType.KV_CACHE_USE)
MEMORY = Signal(type=SignalType.GPU_MEMORY)
DEVICE = Signal(type=SignalType.GPU_MEMORY, name="device", source=MemorySource.DEVICE)
BUSY = Signal(type=SignalType.GPU_UTILIZATION)
GROUP, TOPIC = "shop.assistant", "shop.requests"
LAG = Signal(type=SignalType.KAFKA_LAG, target="10", consumer_group=GROUP)
TOPIC_LAG = Signal(type=SignalType.KAFKA_LAG, name="topic", target="10", consumer_group=GROUP, topic=TOPIC)
LOST_LAG = Signal(type=SignalType.KAFKA_LAG, name="lost", target="10", consumer_group="lost")
NO_LAG = Signal(type=SignalType.KAFKA_LAG, name="none", target="10", consumer_group="nobody")
SIGNALS = [KV, MEMORY, DEVICE, BUSY, LAG, TOPIC_LAG, LOST_LAG, NO_LAG]


async def readings_when(url: str, pool: str, accept: Callable[[dict[str, Reading]], bool]) -> dict[str, Reading]:
    """Read until the signals are as expected; a scrape takes a second or two."""
    target = PoolTarget(Scaling(signals=SIGNALS), 2, 2, rolling_out=False)
    found: dict[str, Reading] = {}
    client = Prometheus(url)
    for _ in range(150):
        telemetry = await client.read(datetime.now(UTC), wanted_by(SIGNALS))
        found = dict(telemetry.load(PoolKey(SHOP, pool), target, ALL).signals)
        if accept(found):
            await client.aclose()
            return found
        await asyncio.sleep(0.2)
    raise AssertionError(f"last readings: {found}")


def is_about(reading: Reading, percent: float) -> bool:
    return isinstance(reading, Fresh) and abs(reading.milli - percent * 1000) < 20


def problem(reading: Reading) -> Problem | None:
    return None if isinstance(reading, Fresh) else reading.problem


async def test_every_exporter_gives_its_signal_in_one_unit(url: str) -> None:
    kv = 10 + 0.9 * (85 - 10)  # the 90th percentile of two replicas at 10 and 85 percent
    light = await readings_when(url, "light", lambda found: is_about(found[KV.key], kv))
    assert light[MEMORY.key] == light[KV.key]
    assert light[DEVICE.key] == Fresh(85_000)
    assert light[BUSY.key] == Fresh(97_000), "0-1 of Triton, in percent"

    vllm = await readings_when(url, "vllm", lambda found: isinstance(found[KV.key], Fresh))
    assert vllm[KV.key] == Fresh(43_750)
    assert problem(vllm[BUSY.key]) is Problem.MISSING
    alone = await readings_when(url, "vllm-alone", lambda found: isinstance(found[KV.key], Fresh))
    assert alone[KV.key] == Fresh(62_500)

    # Of the pool's own two pods, not of the trainer's.
    large = await readings_when(url, "large", lambda found: found[BUSY.key] == Fresh(87_000))
    assert large[DEVICE.key] == Fresh(90_000), "MiB of used and free memory"


async def test_lag_counts_once_and_a_negative_one_is_no_figure(url: str) -> None:
    found = await readings_when(url, "light", lambda found: found[LAG.key] == Fresh(142_000))
    assert (found[LAG.key], found[TOPIC_LAG.key]) == (Fresh(142_000), Fresh(42_000)), "two exporters, one cluster"
    assert (problem(found[LOST_LAG.key]), problem(found[NO_LAG.key])) == (Problem.NEGATIVE, Problem.MISSING)


async def test_out_of_range_and_silent_replicas_are_never_zero(url: str, exporters: dict[str, Exporter]) -> None:
    exporters["triton-1"].text = used_blocks(recorded("triton_tensorrtllm"), "9999")
    part = (await readings_when(url, "light", lambda found: isinstance(found[KV.key], AtLeast)))[KV.key]
    assert problem(part) is Problem.OUT_OF_RANGE
    assert isinstance(part, AtLeast)
    assert part.milli == pytest.approx(85_000, abs=20)

    exporters["triton-1"].text = ""
    silent = await readings_when(url, "light", lambda found: problem(found[KV.key]) is Problem.PARTIAL)
    assert problem(silent[DEVICE.key]) is Problem.PARTIAL

    exporters["triton-0"].text = used_blocks(recorded("triton_tensorrtllm"), "NaN")
    nothing = await readings_when(url, "light", lambda found: isinstance(found[KV.key], NoData))
    assert problem(nothing[KV.key]) is Problem.OUT_OF_RANGE
