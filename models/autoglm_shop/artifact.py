"""Write a trained model as the directory that the engine serves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import onnx

from autoglm_shop.chat import ASSISTANT, END, PREFIX, SYSTEM, USER
from autoglm_shop.graph import MAX_POSITIONS, graph_for

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from tokenizers import Tokenizer

    from autoglm_shop.shape import Shape

FORMAT: Final = 1
ARTIFACTS: Final = Path(__file__).parent.parent / "artifacts"


def directory_of(name: str) -> Path:
    """Return where the artefact of `light` or `large` is kept."""
    return ARTIFACTS / f"glm-shop-{name}"


def write(
    directory: Path, shape: Shape, weights: Mapping[str, np.ndarray], tokenizer: Tokenizer, max_tokens: int
) -> None:
    """Write the files that serving needs, with their manifest; `max_tokens` is the chat's default."""
    directory.mkdir(parents=True, exist_ok=True)
    vocabulary = tokenizer.get_vocab()
    stops = [vocabulary[mark] for mark in (END, USER)]
    _write_json(directory / "config.json", shape.config(MAX_POSITIONS, stops, stops[0]))
    _write_json(directory / "chat.json", _chat(stops, max_tokens))
    tokenizer.save(str(directory / "tokenizer.json"), pretty=False)
    onnx.save(graph_for(shape, weights), directory / "model.onnx")
    seal(directory)


def seal(directory: Path) -> None:
    """Write the manifest: the SHA-256 of every other file in the directory."""
    files = sorted(path for path in directory.iterdir() if path.name != "manifest.json")
    digests = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    _write_json(directory / "manifest.json", {"format": FORMAT, "files": digests})


def evaluation_of(directory: Path) -> dict[str, object]:
    """Return the figures that are stored beside a model."""
    stored: dict[str, object] = json.loads((directory / "evaluation.json").read_bytes())
    return stored


def add_evaluation(directory: Path, evaluation: dict[str, object]) -> None:
    """Store the figures of an evaluation beside the model."""
    _write_json(directory / "evaluation.json", evaluation)
    seal(directory)


def _chat(stop_ids: list[int], max_tokens: int) -> dict[str, object]:
    return {
        "prefix": PREFIX,
        "roles": {"system": SYSTEM, "user": USER, "assistant": ASSISTANT},
        "reply": ASSISTANT,
        "stop_ids": stop_ids,
        "default_max_tokens": max_tokens,
    }


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")
