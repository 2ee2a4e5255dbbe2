"""The ONNX graph of a BERT encoder: a batch of padded texts in, one vector for each out.

Inputs: `input_ids` INT64 [batch, time]; `lengths` INT32 [batch], how many tokens of a row are no padding. Output:
`embedding` FP32 [batch, hidden]: the mean of the last layer over the text's own tokens, or its first token's state, of
length 1 where the model says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping

MICROSOFT: Final = "com.microsoft"
OPSET: Final = 20
INPUT_IDS: Final = "input_ids"
LENGTHS: Final = "lengths"
EMBEDDING: Final = "embedding"
_PROJECTIONS: Final = ("query", "key", "value")


class Shape(BaseModel):
    """The part of a BERT's config.json that its graph needs."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    hidden_size: int
    num_attention_heads: int
    num_hidden_layers: int
    max_position_embeddings: int
    vocab_size: int
    layer_norm_eps: float = 1e-12


class _Builder:
    def __init__(self, weights: Mapping[str, np.ndarray], epsilon: float) -> None:
        self.nodes: list[NodeProto] = []
        self.stored: dict[str, TensorProto] = {}
        self._weights = weights
        self._epsilon = epsilon

    def add(self, op: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def store(self, name: str, value: np.ndarray) -> str:
        self.stored[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def weight(self, name: str, *, transposed: bool = False) -> str:
        value = self._weights[name]
        return self.store(name, value.T if transposed else value)

    def places(self) -> str:
        """Every text is the first of a pair that has no second one, so its kind is a part of the position."""
        kinds = self._weights["embeddings.token_type_embeddings.weight"]
        return self.store("places", self._weights["embeddings.position_embeddings.weight"] + kinds[0])

    def projection_bias(self, part: str) -> str:
        biases = [self._weights[f"{part}.attention.self.{what}.bias"] for what in _PROJECTIONS]
        return self.store(f"{part}.bias", np.concatenate(biases))

    def linear(self, x: str, part: str, output: str) -> str:
        """Multiply by a layer's weight; its bias is added by whoever takes the product."""
        return self.add("MatMul", [x, self.weight(f"{part}.weight", transposed=True)], output)

    def normed_sum(self, x: str, product: str, part: str, bias: str, output: str) -> str:
        """Add residual and bias, and normalise."""
        norm = [self.weight(f"{part}.{name}") for name in ("weight", "bias")]
        inputs = [product, x, *norm, self.weight(bias)]
        return self.add("SkipLayerNormalization", inputs, output, domain=MICROSOFT, epsilon=self._epsilon)


def graph_for(
    shape: Shape, weights: Mapping[str, np.ndarray], *, mean_of_tokens: bool = True, unit_length: bool = True
) -> ModelProto:
    """Return the graph; `weights` has the parameter names of transformers' BertModel."""
    builder = _Builder(weights, shape.layer_norm_eps)
    x = _embedded(builder, shape)
    for layer in range(shape.num_hidden_layers):
        x = _layer(builder, shape, f"encoder.layer.{layer}", x)
    pooled = _mean(builder, x) if mean_of_tokens else _first(builder, x)
    if unit_length:
        builder.add("LpNormalization", [pooled], EMBEDDING, axis=-1, p=2)
    else:
        builder.add("Identity", [pooled], EMBEDDING)
    return _model(builder, shape)


def _embedded(builder: _Builder, shape: Shape) -> str:
    words = builder.add("Gather", [builder.weight("embeddings.word_embeddings.weight"), INPUT_IDS], "words")
    time = builder.add("Shape", [INPUT_IDS], "time", start=1, end=2)
    zero = builder.store("zero", np.array([0], np.int64))
    places = builder.add("Slice", [builder.places(), zero, time, zero], "places.used")
    summed = builder.add("Add", [words, places], "embedded")
    norm = [builder.weight(f"embeddings.LayerNorm.{name}") for name in ("weight", "bias")]
    return builder.add("LayerNormalization", [summed, *norm], "x", axis=-1, epsilon=shape.layer_norm_eps)


def _layer(builder: _Builder, shape: Shape, part: str, x: str) -> str:
    projections = [builder.linear(x, f"{part}.attention.self.{what}", f"{part}.{what}") for what in _PROJECTIONS]
    mixed = builder.add(
        "MultiHeadAttention",
        [*projections, builder.projection_bias(part), LENGTHS],
        f"{part}.mixed",
        domain=MICROSOFT,
        num_heads=shape.num_attention_heads,
    )
    out = f"{part}.attention.output"
    product = builder.linear(mixed, f"{out}.dense", f"{part}.attended")
    x = builder.normed_sum(x, product, f"{out}.LayerNorm", f"{out}.dense.bias", f"{part}.middle")
    inner = builder.linear(x, f"{part}.intermediate.dense", f"{part}.inner")
    active = builder.add(
        "BiasGelu", [inner, builder.weight(f"{part}.intermediate.dense.bias")], f"{part}.active", domain=MICROSOFT
    )
    product = builder.linear(active, f"{part}.output.dense", f"{part}.product")
    return builder.normed_sum(x, product, f"{part}.output.LayerNorm", f"{part}.output.dense.bias", f"{part}.out")


def _mean(builder: _Builder, x: str) -> str:
    """Return the mean over each row's own tokens."""
    scalars = {name: builder.store(name, np.array(number, np.int64)) for name, number in (("begin", 0), ("step", 1))}
    one = builder.store("one", np.array([1], np.int64))
    time = builder.add("Squeeze", ["time"], "time.scalar")
    places = builder.add("Range", [scalars["begin"], time, scalars["step"]], "numbers")
    lengths = builder.add("Cast", [LENGTHS], "lengths.wide", to=TensorProto.INT64)
    column = builder.add("Unsqueeze", [lengths, one], "lengths.column")
    own = builder.add("Cast", [builder.add("Less", [places, column], "own.bool")], "own", to=TensorProto.FLOAT)
    two = builder.store("two", np.array([2], np.int64))
    kept = builder.add("Mul", [x, builder.add("Unsqueeze", [own, two], "own.column")], "kept")
    total = builder.add("ReduceSum", [kept, one], "total", keepdims=0)
    return builder.add("Div", [total, builder.add("Cast", [column], "count", to=TensorProto.FLOAT)], "mean")


def _first(builder: _Builder, x: str) -> str:
    return builder.add("Gather", [x, builder.store("first", np.array(0, np.int64))], "first.state", axis=1)


def _model(builder: _Builder, shape: Shape) -> ModelProto:
    value = helper.make_tensor_value_info
    inputs = [
        value(INPUT_IDS, TensorProto.INT64, ["batch", "time"]),
        value(LENGTHS, TensorProto.INT32, ["batch"]),
    ]
    outputs = [value(EMBEDDING, TensorProto.FLOAT, ["batch", shape.hidden_size])]
    graph = helper.make_graph(builder.nodes, "encoder", inputs, outputs, list(builder.stored.values()))
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="autoglm")
