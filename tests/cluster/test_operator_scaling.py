"""A pool follows its load: real API server, real Prometheus; only the gateway's figures are a test's."""

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
    scaling = {
        "minReplicas": 1,
        "maxReplicas": 4,
        "signals": [{"type": "Concurrency", "target": "4"}],
        "behavior": {"scaleUp": {**fast, "stabilizationWindowSeconds": 0}, "scaleDown": fast},
    }
    manifest["spec"]["pools"][0]["scaling"] = scaling
    return manifest


def _pool(world: World) -> dict[str, Any]:
    return next((pool for pool in world.status().get("pools", []) if pool["name"] == "light"), {})


def _is_ready_with(world: World, size: int) -> bool:
    return _pool(world).get("desiredReplicas") == size and _pool(world).get("readyReplicas") == size


def _metrics(world: World) -> str:
    conditions = _pool(world).get("conditions", [])
    return next((one["status"] for one in conditions if one["type"] == "MetricsAvailable"), "")


def test_a_pool_grows_holds_through_an_outage_and_a_crash_and_shrinks(
    world: World, exporter: Exporter, prometheus: Prometheus
) -> None:
    settings = {names.ENV_PROMETHEUS_URL: prometheus.url, names.ENV_SCALING_INTERVAL: "0.5"}
    with running_operator(world.cluster, **settings):
        world.apply(_elastic())
        world.until(lambda: _is_ready_with(world, 1) and _metrics(world) == "True", SECONDS)
        exporter.text = load(light=16)
        world.until(lambda: _is_ready_with(world, 4), SECONDS)
        assert "Concurrency 16 / 4 per replica asks for 4" in _pool(world)["lastDecision"]["message"]
        events = world.find("events.events.k8s.io", "")
        notes = [one["note"] for one in events if one["reason"] == "Scaled"]
        assert any("pool light: " in note and "-> 4" in note for note in notes), (
            notes
        )  # in one step or, smoothed, in two
        prometheus.stop()
        world.until(lambda: _metrics(world) == "False", SECONDS)
        assert _is_ready_with(world, 4)
    # The operator was killed while there was no data; its successor knows no more, and holds.
    exporter.text = load(light=1)
    with running_operator(world.cluster, **settings):
        world.until(lambda: _metrics(world) == "False", SECONDS)
        assert _is_ready_with(world, 4)
        prometheus.start()
        world.until(lambda: _is_ready_with(world, 1), SECONDS)
