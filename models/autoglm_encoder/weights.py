"""Weights of a safetensors file: eight bytes of length, a JSON header, the tensors. No package is needed to read it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_LENGTH_BYTES: Final = 8
_TYPES: Final[dict[str, type[np.generic]]] = {"F32": np.float32, "F16": np.float16, "I64": np.int64}


def read_safetensors(path: Path) -> Mapping[str, np.ndarray]:
    """Return the tensors of a file by their names, floating point ones as FP32.

    Raises:
        ValueError: a tensor has a type that is not read here.
    """
    content = path.read_bytes()
    start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = json.loads(content[_LENGTH_BYTES:start])
    header.pop("__metadata__", None)
    return {name: _tensor(name, told, content, start) for name, told in header.items()}


def _tensor(name: str, told: dict[str, Any], content: bytes, start: int) -> np.ndarray:
    kind = _TYPES.get(str(told["dtype"]))
    if kind is None:
        raise ValueError(f"{name}: type {told['dtype']} is not read here; there are {', '.join(_TYPES)}")
    begin, end = told["data_offsets"]
    values: np.ndarray = np.frombuffer(content[start + begin : start + end], dtype=kind).reshape(told["shape"])
    return values.astype(np.float32) if kind is np.float16 else values
