"""Whether a live object still says what we applied.

Only fields that we apply are compared: defaults of the API server and fields of other writers are not drift. Maps and
keyed lists may hold more than ours (server-side apply merges them); any other list is ours as a whole.
"""

from collections.abc import Iterator
from typing import Any, Final

from autoglm_api.schema import milli_units
from autoglm_operator.core.keys import JSON

# List fields that server-side apply merges item by item, with the field that identifies an item.
_KEYED: Final = {
    "containers": "name",
    "env": "name",
    "ports": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "ownerReferences": "uid",
    "topologySpreadConstraints": "topologyKey",
}
_QUANTITIES: Final = {"requests", "limits", "sizeLimit"}


def drifted(ours: JSON, live: JSON) -> list[str]:
    """Return the paths of our fields that differ in the live object; empty when it is as applied."""
    return list(_object(ours, live, ""))


def _object(ours: JSON, live: Any, path: str) -> Iterator[str]:
    if not isinstance(live, dict):
        yield path
        return
    for key, value in ours.items():
        where = f"{path}.{key}" if path else key
        if key in live or not _means_nothing(value):
            yield from _value(key, value, live.get(key), where)


def _means_nothing(value: Any) -> bool:
    """Tell whether the API server may drop a value when it stores it: empty maps, lists and texts, false."""
    return value is None or value is False or value in ({}, [], "")


def _value(key: str, ours: Any, live: Any, path: str) -> Iterator[str]:
    if key in _QUANTITIES:
        yield from _quantities(ours, live, path)
    elif isinstance(ours, dict):
        yield from _object(ours, live, path)
    elif isinstance(ours, list):
        yield from _list(key, ours, live or [], path)
    elif ours != live:
        yield path


def _quantities(ours: Any, live: Any, path: str) -> Iterator[str]:
    """Compare amounts, not spellings: the API server writes 0.3 as 300m."""
    if isinstance(ours, dict):
        for key, value in ours.items():
            yield from _quantities(value, (live or {}).get(key), f"{path}.{key}")
    elif live is None or milli_units(ours) != _amount(live):
        yield path


def _amount(live: Any) -> int | None:
    """Return an amount that somebody else may have written; None when it cannot be read."""
    try:
        return milli_units(live)
    except ValueError:
        return None


def _list(key: str, ours: list[Any], live: list[Any], path: str) -> Iterator[str]:
    identity = _KEYED.get(key)
    if identity is not None:
        found = {item.get(identity): item for item in live}
        for item in ours:
            yield from _object(item, found.get(item[identity]), f"{path}[{item[identity]}]")
    elif len(ours) != len(live):
        yield path
    else:
        for index, (mine, theirs) in enumerate(zip(ours, live, strict=True)):
            yield from _value("", mine, theirs, f"{path}[{index}]")
