"""INT8 graphs: the matrix products of an FP32 graph with 8-bit weights and activations.

python -m autoglm_shop.quantise light large [--queries 1000]

Weights get one scale for each column. Activations get a fixed range for each product, seen on training sentences and
the model's own replies: the usual dynamic range is taken over everything that is in one run, so that a reply would
depend on what else is in the batch. Embeddings stay as they are; norms and attention run in FP32. See ADR 0019.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import onnx
import onnxruntime as ort
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from tokenizers import Tokenizer

from autoglm_api.spec import Precision
from autoglm_node.artifact import GRAPHS
from autoglm_node.chat import TOKENIZER_FILE, Chat
from autoglm_node.engine.artifact import GlmConfig
from autoglm_node.query import Message
from autoglm_shop import artifact
from autoglm_shop.evaluate import answer, compare
from autoglm_shop.graph import MAX_POSITIONS, MICROSOFT
from autoglm_shop.task import Kind, Query, Split, generate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

CALIBRATION_QUERIES: Final = 64  # of each kind
_LEVELS: Final = 255
_WEIGHT_LEVELS: Final = 127


class Range(NamedTuple):
    """The least and the greatest value of an activation, both sides of 0."""

    low: float
    high: float

    @property
    def scale(self) -> np.float32:
        """What one step of the 8-bit value is worth."""
        return np.float32(max(self.high - self.low, 1e-6) / _LEVELS)

    @property
    def zero(self) -> np.uint8:
        """The 8-bit value that stands for 0."""
        return np.uint8(round(-self.low / float(self.scale)))


def int8_weights(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights [inner, columns] as INT8 and the scale of each column."""
    scales = np.abs(weights).max(axis=0) / _WEIGHT_LEVELS
    scales = np.where(scales == 0, 1, scales).astype(np.float32)
    return np.rint(weights / scales).astype(np.int8), scales


class _Stored:
    """The weights of a graph by the name that a matrix product calls them by."""

    def __init__(self, model: ModelProto) -> None:
        self._arrays = {one.name: one for one in model.graph.initializer}
        self._casts = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Cast"}
        self._turned = {node.output[0]: node.input[0] for node in model.graph.node if node.op_type == "Transpose"}

    def find(self, name: str) -> np.ndarray | None:
        """Return weights as FP32; None for what is computed."""
        if name in self._turned:
            found = self.find(self._turned[name])
            return None if found is None else found.T
        stored = self._arrays.get(self._casts.get(name, name))
        return None if stored is None else numpy_helper.to_array(stored).astype(np.float32)


def calibrated(model: ModelProto, config: GlmConfig, prompts: Iterable[list[int]]) -> dict[str, Range]:
    """Return the range of every activation that enters a matrix product, over these token sequences."""
    names = sorted({node.input[0] for node in _products(model)})
    watched = ModelProto()
    watched.CopyFrom(model)
    watched.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = ort.InferenceSession(watched.SerializeToString(), providers=["CPUExecutionProvider"])
    seen = dict.fromkeys(names, Range(0.0, 0.0))
    for ids in prompts:
        for name, values in zip(names, session.run(names, _feeds(config, ids)), strict=True):
            before = seen[name]
            seen[name] = Range(min(before.low, float(values.min())), max(before.high, float(values.max())))
    return seen


def quantised(model: ModelProto, ranges: Mapping[str, Range]) -> ModelProto:
    """Return the graph with every product of an activation and stored weights in INT8."""
    stored, nodes, arrays = _Stored(model), list[NodeProto](), list[TensorProto]()
    for node in model.graph.node:
        weights = stored.find(node.input[1]) if node.op_type == "MatMul" else None
        if weights is None:
            nodes.append(node)
        else:
            nodes += _int8_product(node.input[0], node.output[0])
            arrays += _constants(node.output[0], weights, ranges[node.input[0]])
    made = ModelProto()
    made.CopyFrom(model)
    del made.graph.node[:], made.graph.initializer[:]
    made.graph.node.extend(_used(nodes, [one.name for one in model.graph.output]))
    needed = {name for node in made.graph.node for name in node.input}
    made.graph.initializer.extend(one for one in (*model.graph.initializer, *arrays) if one.name in needed)
    return made


def _products(model: ModelProto) -> list[NodeProto]:
    return [node for node in model.graph.node if node.op_type == "MatMul"]


def _feeds(config: GlmConfig, ids: list[int]) -> dict[str, np.ndarray]:
    """Return the inputs that read a whole sequence into an empty cache."""
    empty = np.zeros((1, config.num_key_value_heads, MAX_POSITIONS, config.head_dim), np.float32)
    caches = {f"past.{what}.{layer}": empty for layer in range(config.num_hidden_layers) for what in ("key", "value")}
    last, total = np.array([len(ids) - 1], np.int32), np.array([len(ids)], np.int32)
    return {"input_ids": np.array([ids], np.int64), "seqlens_k": last, "total_sequence_length": total, **caches}


def _int8_product(activation: str, output: str) -> list[NodeProto]:
    small, scale, zero = f"{output}.x8", f"{output}.x8.scale", f"{output}.x8.zero"
    weights, scales = f"{output}.w8", f"{output}.w8.scales"
    return [
        helper.make_node("QuantizeLinear", [activation, scale, zero], [small]),
        helper.make_node("MatMulIntegerToFloat", [small, weights, scale, scales, zero], [output], domain=MICROSOFT),
    ]


def _constants(output: str, weights: np.ndarray, span: Range) -> list[TensorProto]:
    small, scales = int8_weights(weights)
    named = {"w8": small, "w8.scales": scales, "x8.scale": np.array(span.scale), "x8.zero": np.array(span.zero)}
    return [numpy_helper.from_array(value, f"{output}.{name}") for name, value in named.items()]


def _used(nodes: list[NodeProto], outputs: list[str]) -> list[NodeProto]:
    """Return the nodes without those of which nobody takes an output."""
    kept, wanted = list[NodeProto](), set(outputs)
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            kept.append(node)
            wanted.update(node.input)
    return kept[::-1]


def taught(n: int) -> list[Query]:
    """Return `n` training queries of each kind."""
    return [generate(number, Split.TRAIN, kind) for kind in Kind for number in range(n)]


def sequences(directory: Path, queries: list[Query]) -> list[list[int]]:
    """Return queries and the model's own replies to them, as tokens."""
    chat, tokenizer = Chat.load(directory), Tokenizer.from_file(str(directory / TOKENIZER_FILE))
    texts = answer(directory, queries).texts
    return [
        chat.prompt_ids([Message("user", query.prompt)]) + tokenizer.encode(text, add_special_tokens=False).ids
        for query, text in zip(queries, texts, strict=True)
    ]


def write(directory: Path) -> None:
    """Write the INT8 graph of a model directory beside its FP32 graph, and the manifest again."""
    model = onnx.load(directory / GRAPHS[Precision.FP32])
    config = GlmConfig.model_validate_json((directory / "config.json").read_bytes())
    ranges = calibrated(model, config, sequences(directory, taught(CALIBRATION_QUERIES)))
    onnx.save(quantised(model, ranges), directory / GRAPHS[Precision.INT8])
    artifact.seal(directory)


def main() -> None:
    """Quantise the named models and store how they compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", choices=("light", "large"))
    parser.add_argument("--queries", type=int, default=1000)
    given = parser.parse_args()
    for name in given.names:
        directory = artifact.directory_of(name)
        write(directory)
        figures = compare(directory, given.queries)
        artifact.add_evaluation(directory, artifact.evaluation_of(directory) | {"int8": figures})
        print(f"{name}: {figures}")


if __name__ == "__main__":
    main()
