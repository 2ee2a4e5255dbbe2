"""Pools whose size others write, on a real API server."""

from typing import Any

from autoglm_api import names
from support.operators import World, service

AGPS = f"{names.SCALE_SHORT_NAME}/shop-light"


def in_mode(mode: str, smallest: int = 1) -> dict[str, Any]:
    """Return a resource whose pool light has that mode."""
    manifest = service()
    manifest["spec"]["pools"][0]["scaling"] = {"mode": mode, "minReplicas": smallest, "maxReplicas": 4}
    return manifest


def autoscaler(kind: str, name: str, smallest: int) -> dict[str, Any]:
    """Return an HPA; without a metrics server all it can do is to raise a size to its smallest."""
    api_version = names.API_VERSION if kind == names.SCALE_KIND else "apps/v1"
    target = {"type": "Utilization", "averageUtilization": 1}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "theirs"},
        "spec": {
            "scaleTargetRef": {"apiVersion": api_version, "kind": kind, "name": name},
            "minReplicas": smallest,
            "maxReplicas": 9,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    }


def pool(world: World) -> dict[str, Any]:
    """Return the status of pool light."""
    return next((one for one in world.status().get("pools", []) if one["name"] == "light"), {})


def condition(world: World, kind: str) -> dict[str, Any]:
    """Return one condition of pool light."""
    return next((one for one in pool(world).get("conditions", []) if one["type"] == kind), {})


def sizes(world: World) -> list[int]:
    """Return what its Deployments ask for."""
    return [one["spec"]["replicas"] for one in world.workers("light")]


def asked(world: World) -> int | None:
    """Return what its AutoGLMPoolScale asks for."""
    return ((world.get(AGPS) or {}).get("spec") or {}).get("replicas")


def settled(world: World, size: int) -> bool:
    """Tell whether it has that size, is ready and says so."""
    return sizes(world) == [size] and pool(world).get("readyReplicas") == size == pool(world).get("desiredReplicas")
