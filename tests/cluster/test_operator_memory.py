"""What the scaling engine remembers outlives the operator: windows go on, sleep goes on. Real API server, real
Prometheus; only the gateway's figures are a test's.
"""

import json
import time
from typing import Any

import pytest

from autoglm_api import names
from support.operators import World, running_operator, service
from support.prometheus import Exporter, Prometheus
from support.shop_load import exporter, load, prometheus

__all__ = ["exporter", "prometheus"]

pytestmark = pytest.mark.cluster

SECONDS = 60.0
WINDOW_SECONDS = 45.0


def _settings(prometheus: Prometheus) -> dict[str, str]:
    return {names.ENV_PROMETHEUS_URL: prometheus.url, names.ENV_SCALING_INTERVAL: "0.5"}


def _shop(**scaling: Any) -> dict[str, Any]:
    manifest = service()
    fast = {"policies": [{"type": "Pods", "value": 10, "periodSeconds": 1}]}
    manifest["spec"]["pools"][0]["scaling"] = {
        "minReplicas": 1,
        "maxReplicas": 4,
        "signals": [{"type": "Concurrency", "target": "4"}],
        "behavior": {
            "scaleUp": {**fast, "stabilizationWindowSeconds": 0},
            "scaleDown": {**fast, "stabilizationWindowSeconds": int(WINDOW_SECONDS)},
        },
        **scaling,
    }
    return manifest


def _pool(world: World) -> dict[str, Any]:
    return next((pool for pool in world.status().get("pools", []) if pool["name"] == "light"), {})


def _has(world: World, size: int) -> bool:
    return _pool(world).get("desiredReplicas") == size == _pool(world).get("readyReplicas")


def _saved(world: World) -> dict[str, Any]:
    found = world.get(f"configmap/{names.scaling_state_name('shop')}") or {}
    return found.get("data") or {}


def test_a_window_that_began_before_a_restart_ends_when_it_would_have(
    world: World, exporter: Exporter, prometheus: Prometheus
) -> None:
    exporter.text = load(light=16)
    with running_operator(world.cluster, **_settings(prometheus)) as first:
        # It begins with its size: one that has grown would not shrink for two windows.
        world.apply(_shop(minReplicas=4))
        world.until(lambda: _has(world, 4), SECONDS)
        world.apply(_shop())
        world.until(lambda: _saved(world), SECONDS)
        exporter.text = load(light=1)
        dropped = time.monotonic()
        time.sleep(12)
        assert first.stop() == 0
    assert [one["pool"] for one in json.loads(_saved(world)[names.SCALING_JOURNAL_KEY])].count("light") >= 1
    with running_operator(world.cluster, **_settings(prometheus)):
        restarted = time.monotonic()
        world.until(lambda: _pool(world)["desiredReplicas"] < 4, SECONDS)
        shrunk = time.monotonic()
    assert shrunk - dropped >= WINDOW_SECONDS - 1  # nothing was forgotten
    assert shrunk - restarted < WINDOW_SECONDS - 3  # a new state would have held for a whole window


def test_without_what_was_kept_a_restart_holds_for_a_whole_window(
    world: World, exporter: Exporter, prometheus: Prometheus
) -> None:
    exporter.text = load(light=16)
    with running_operator(world.cluster, **_settings(prometheus)) as first:
        world.apply(_shop())
        world.until(lambda: _has(world, 4), SECONDS)
        exporter.text = load(light=1)
        assert first.stop() == 0
    broken = {"data": {names.SCALING_STATE_KEY: "{"}}
    world.patch(f"configmap/{names.scaling_state_name('shop')}", broken)
    with running_operator(world.cluster, **_settings(prometheus)) as second:
        world.until(lambda: "begins anew" in second.log.read_text(), SECONDS)
        begun = time.monotonic()
        world.until(lambda: _pool(world)["desiredReplicas"] < 4, WINDOW_SECONDS + SECONDS)
        assert time.monotonic() - begun >= WINDOW_SECONDS - 2


def test_the_memory_is_nobodys_child_but_goes_with_its_resource(world: World, prometheus: Prometheus) -> None:
    with running_operator(world.cluster, **_settings(prometheus)) as operator:
        world.apply(_shop())
        world.until(lambda: _saved(world), SECONDS)
        world.until(world.is_ready, SECONDS)
        time.sleep(5)  # the last news of pods
        before = operator.metric(names.METRIC_OPERATOR_RECONCILES)
        for number in range(5):
            labels = {"theirs": str(number)}
            world.patch(f"configmap/{names.scaling_state_name('shop')}", {"metadata": {"labels": labels}})
            time.sleep(0.5)
        assert operator.metric(names.METRIC_OPERATOR_RECONCILES) <= before + 1
        live = world.get(f"configmap/{names.scaling_state_name('shop')}") or {}
        assert live["metadata"]["labels"]["theirs"] == "4"
        world.kubectl("delete", names.CRD_NAME, "shop", "--wait=true")
        world.until(lambda: not _saved(world), SECONDS)


def test_an_idle_pool_sleeps_and_a_query_wakes_it(world: World, exporter: Exporter, prometheus: Prometheus) -> None:
    exporter.text = load(light=0)
    with running_operator(world.cluster, **_settings(prometheus)) as first:
        world.apply(_shop(minReplicas=0, zero={"idleSeconds": 30}))
        world.until(lambda: world.is_ready() and _has(world, 0), SECONDS)
        exporter.text = load(light=0, queued=1)
        world.until(lambda: _pool(world)["desiredReplicas"] == 1, 5.0)
        world.until(lambda: _has(world, 1), SECONDS)
        exporter.text = load(light=0)
        world.until(lambda: _has(world, 0), 2 * SECONDS)
        assert _pool(world)["lastDecision"]["reason"] == "ScaledToZero"
        assert world.condition("Ready")["status"] == "True"
        assert first.stop() == 0
    with running_operator(world.cluster, **_settings(prometheus)):
        time.sleep(3)
        assert not world.pods("light")
        exporter.text = load(light=0, queued=1)
        world.until(lambda: _has(world, 1), SECONDS)
