"""What the gateway of a resource `shop` reports to a real Prometheus, as a test says it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from autoglm_api import names
from support.operators import World
from support.prometheus import Exporter, Prometheus, prometheus_program


def load(light: int, queued: int = 0) -> str:
    """Return the gateway's page: queries in flight and waiting of pool light; pool large has one in flight."""
    rows = [
        f'{metric}{{pool="{pool}"}} {value}'
        for pool, waiting, busy in (("light", queued, light), ("large", 0, 1))
        for metric, value in (
            (names.METRIC_GATEWAY_QUEUED, waiting),
            (names.METRIC_GATEWAY_QUEUED_TOKENS, waiting * 100),
            (names.METRIC_GATEWAY_IN_FLIGHT, busy),
            (names.METRIC_GATEWAY_SERVED_TOKENS, 0),
        )
    ]
    offered = [f'{names.METRIC_GATEWAY_OFFERED_TOKENS}{{class="{one}"}} 0' for one in ("Simple", "Complex")]
    return "\n".join([*rows, *offered]) + "\n"


@pytest.fixture
def exporter() -> Iterator[Exporter]:
    """The gateway's page; set its `text`."""
    started = Exporter(load(light=1))
    yield started
    started.stop()


@pytest.fixture
def prometheus(world: World, tmp_path: Path, exporter: Exporter) -> Iterator[Prometheus]:
    """A Prometheus that scrapes it as the gateway of `shop`."""
    program = prometheus_program()
    if program is None:
        pytest.skip("no prometheus program on PATH and none from apt-get download")
    labels = {names.SERIES_LABEL_NAMESPACE: world.namespace, names.SERIES_LABEL_DEPLOYMENT: "shop"}
    server = Prometheus(program, tmp_path, {exporter.address: labels}).start()
    yield server
    server.stop()
