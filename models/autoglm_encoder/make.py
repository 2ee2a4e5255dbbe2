"""Turn a directory of sentence-transformers (BERT) into the artefact that an Embedding pool serves.

python -m autoglm_encoder.make MODEL_DIRECTORY --out DIRECTORY
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import onnx

from autoglm_encoder.graph import Shape, graph_for
from autoglm_encoder.weights import read_safetensors
from autoglm_shop.artifact import seal


def make(source: Path, out: Path) -> None:
    """Write the artefact of a model's directory.

    Raises:
        ValueError: it is no BERT, or its vectors are made in a way that is not known here.
    """
    config = _read(source / "config.json")
    if config.get("model_type") != "bert":
        raise ValueError(f"{source}: model_type is {config.get('model_type')!r}; only BERT encoders are known here")
    modules = [module["type"].rpartition(".")[2] for module in json.loads((source / "modules.json").read_bytes())]
    pooling = [name for name, wanted in _read(source / "1_Pooling" / "config.json").items() if wanted is True]
    known: dict[tuple[str, ...], bool] = {("pooling_mode_mean_tokens",): True, ("pooling_mode_cls_token",): False}
    if tuple(pooling) not in known or set(modules) - {"Transformer", "Pooling", "Normalize"}:
        raise ValueError(f"{source}: pooling {pooling} of modules {modules} is not known here")
    shape, unit_length = Shape.model_validate(config), "Normalize" in modules
    weights = read_safetensors(source / "model.safetensors")
    graph = graph_for(shape, weights, mean_of_tokens=known[tuple(pooling)], unit_length=unit_length)
    longest = _read(source / "sentence_bert_config.json").get("max_seq_length") or shape.max_position_embeddings
    out.mkdir(parents=True, exist_ok=True)
    onnx.save(graph, out / "model.onnx")
    shutil.copyfile(source / "tokenizer.json", out / "tokenizer.json")
    _write(out / "config.json", {**config, "max_position_embeddings": min(longest, shape.max_position_embeddings)})
    _write(out / "encoder.json", {"dimensions": shape.hidden_size, "unit_length": unit_length})
    seal(out)


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_bytes())
    return content


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n")


def main() -> None:
    """Make one artefact."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    make(given.source, given.out)
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
