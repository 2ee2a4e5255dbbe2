"""What a running operator has logged is decided again, and comes out the same."""

import json
import subprocess
import sys
from typing import Any

import pytest

from autoglm_api import names
from support.operators import World, running_operator, service
from support.prometheus import Exporter, Prometheus
from support.shop_load import exporter, load, prometheus

__all__ = ["exporter", "prometheus"]

pytestmark = pytest.mark.cluster

SECONDS = 40.0


def _elastic() -> dict[str, Any]:
    manifest = service()
    fast = {"policies": [{"type": "Pods", "value": 10, "periodSeconds": 1}], "stabilizationWindowSeconds": 2}
    manifest["spec"]["pools"][0]["scaling"] |= {
        "signals": [{"type": "Concurrency", "target": "4"}],
        "behavior": {"scaleUp": {**fast, "stabilizationWindowSeconds": 0}, "scaleDown": fast},
    }
    return manifest


def _size(world: World) -> int:
    pool: dict[str, Any] = next((pool for pool in world.status().get("pools", []) if pool["name"] == "light"), {})
    return int(pool.get("desiredReplicas", 0))


def _replayed(log: str) -> tuple[int, list[dict[str, Any]]]:
    command = [sys.executable, "-c", "from autoglm_cli.main import app; app()", "replay", log, "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    pools: list[dict[str, Any]] = json.loads(done.stdout)
    return done.returncode, pools


def test_the_log_of_a_running_operator_replays_to_the_same_sizes(
    world: World, exporter: Exporter, prometheus: Prometheus
) -> None:
    settings = {
        names.ENV_PROMETHEUS_URL: prometheus.url,
        names.ENV_SCALING_INTERVAL: "0.5",
        names.ENV_LOG_LEVEL: "debug",
    }
    with running_operator(world.cluster, **settings) as operator:
        world.apply(_elastic())
        world.until(lambda: _size(world) == 1 and world.is_ready(), SECONDS)
        exporter.text = load(light=14)
        world.until(lambda: _size(world) == 4, SECONDS)
        prometheus.stop()
        world.until(lambda: "Missing" in operator.log.read_text() or "Unreachable" in operator.log.read_text(), SECONDS)
        prometheus.start()
        exporter.text = load(light=6)
        world.until(lambda: _size(world) == 2, SECONDS)
    status, pools = _replayed(str(operator.log))
    assert status == 0, pools
    # The log also holds the decisions for resources of other tests whose namespaces are still being deleted.
    light = next(one for one in pools if one["pool"] == f"{world.namespace}/shop/light")
    assert light["decisions"] > 10
    assert light["different"] == 0
    assert light["replicasNow"] == light["replicasThen"] > 1
