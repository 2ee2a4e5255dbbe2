"""A small good manifest and a way to spoil it."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from autoglm_api import names

REPOSITORY: Final = Path(__file__).resolve().parents[2]
EXAMPLES: Final = sorted((REPOSITORY / "examples").glob("*/manifest.yaml"))
REMOVE: Final = object()

_POOL_PATHS: Final = {"light": 0, "large": 1}


def two_pools(name: str = "shop") -> dict[str, Any]:
    """Return the smallest useful manifest: two pools with a model each."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.KIND,
        "metadata": {"name": name},
        "spec": {"pools": [_pool("light", "Simple"), _pool("large", "Complex")]},
    }


def _pool(name: str, serves: str) -> dict[str, Any]:
    return {"name": name, "serves": serves, "model": {"name": f"glm-{name}", "uri": f"builtin://glm-shop-{name}"}}


def changed(manifest: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with the field at a dotted path set (or removed, by REMOVE); `light` and `large` are the pools.

    >>> changed(two_pools(), "spec.light.weight", 3)["spec"]["pools"][0]["weight"]
    3
    """
    copied = copy.deepcopy(dict(manifest))
    *parents, last = path.split(".")
    node: Any = copied
    for part in parents:
        node = node["pools"][_POOL_PATHS[part]] if part in _POOL_PATHS else node.setdefault(part, {})
    if value is REMOVE:
        del node[last]
    else:
        node[last] = value
    return copied
