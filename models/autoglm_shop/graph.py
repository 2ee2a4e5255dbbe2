"""The ONNX graph of a GLM: one graph for reading a prompt and for producing tokens.

Inputs: `input_ids` INT64 [batch, time]; `seqlens_k` INT32 [batch], the position of each row's last
token; `total_sequence_length` INT32 [1], the longest row's length; `past.key.N` and `past.value.N`
FP32 [batch, kv heads, room, head size]. Outputs: `logits` FP32 [batch, vocabulary] after each
row's last token; `present.key.N`, `present.value.N`. Weights are stored as FP16 and cast to FP32
once, when a session is made. Attention is ONNX Runtime's `GroupQueryAttention`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Mapping

    from autoglm_shop.shape import Shape

MICROSOFT: Final = "com.microsoft"
OPSET: Final = 20
MAX_POSITIONS: Final = 512


class _Builder:
    """Nodes and stored weights under construction."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def add(self, op: str, inputs: list[str], *outputs: str, domain: str = "", **attributes: Any) -> str:
        """Append a node; return its first output."""
        self.nodes.append(helper.make_node(op, inputs, list(outputs), domain=domain, **attributes))
        return outputs[0]

    def exact(self, name: str, value: np.ndarray) -> str:
        """Store an array as it is."""
        self.weights.append(numpy_helper.from_array(value.copy(order="C"), name))
        return name

    def half(self, name: str, value: np.ndarray) -> str:
        """Store an array as FP16; return the name of its FP32 cast."""
        stored = self.exact(f"{name}.fp16", value.astype(np.float16))
        return self.add("Cast", [stored], name, to=TensorProto.FLOAT)


def graph_for(shape: Shape, weights: Mapping[str, np.ndarray]) -> ModelProto:
    """Return the graph; `weights` has the parameter names of transformers' GlmForCausalLM."""
    builder = _Builder()
    embeddings = builder.half("embeddings", weights["model.embed_tokens.weight"])
    for name, table in zip(("cos", "sin"), rotary_tables(shape), strict=True):
        builder.exact(name, table)
    x = builder.add("Gather", [embeddings, "input_ids"], "embedded")
    normed = _first_norm(builder, x, weights["model.layers.0.input_layernorm.weight"], shape.epsilon)
    for layer in range(shape.layers):
        name = f"model.layers.{layer}"
        added = _attention(builder, shape, weights, layer, normed)
        gain = weights[f"{name}.post_attention_layernorm.weight"]
        normed, x = _norm(builder, f"mid.{layer}", x, added, gain, shape.epsilon)
        added = _feed_forward(builder, weights, layer, normed)
        following = f"model.layers.{layer + 1}.input_layernorm.weight"
        gain = weights.get(following, weights["model.norm.weight"])
        normed, x = _norm(builder, f"out.{layer}", x, added, gain, shape.epsilon)
    _scores(builder, normed, embeddings)
    return _model(builder, shape)


def rotary_tables(shape: Shape) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines and sines [positions, pairs] of the rotated half of a head."""
    width = shape.head // 2
    frequencies = shape.theta ** (-np.arange(0, width, 2, dtype=np.float64) / width)
    angles = np.arange(MAX_POSITIONS)[:, None] * frequencies
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def _first_norm(builder: _Builder, x: str, gain: np.ndarray, epsilon: float) -> str:
    weight = builder.exact("first.gain", gain.astype(np.float32))
    return builder.add("SimplifiedLayerNormalization", [x, weight], "first.norm", epsilon=epsilon, axis=-1)


def _norm(builder: _Builder, name: str, x: str, added: str, gain: np.ndarray, epsilon: float) -> tuple[str, str]:
    """Add the residual and normalise; return (normalised, sum)."""
    weight = builder.exact(f"{name}.gain", gain.astype(np.float32))
    outputs = (f"{name}.norm", "", "", f"{name}.sum")
    op = "SkipSimplifiedLayerNormalization"
    builder.add(op, [x, added, weight], *outputs, domain=MICROSOFT, epsilon=epsilon)
    return outputs[0], outputs[3]


def _attention(builder: _Builder, shape: Shape, weights: Mapping[str, np.ndarray], layer: int, x: str) -> str:
    part, own = f"model.layers.{layer}.self_attn", f"attention.{layer}"
    names = [f"{part}.{projection}_proj" for projection in "qkv"]
    joined = np.concatenate([weights[f"{name}.weight"] for name in names]).T
    bias = np.concatenate([weights[f"{name}.bias"] for name in names])
    product = builder.add("MatMul", [x, builder.half(f"{own}.qkv", joined)], f"{own}.product")
    qkv = builder.add("Add", [product, builder.exact(f"{own}.bias", bias.astype(np.float32))], f"{own}.sum")
    past, present = ([f"{time}.{what}.{layer}" for what in ("key", "value")] for time in ("past", "present"))
    mixed = builder.add(
        "GroupQueryAttention",
        [qkv, "", "", *past, "seqlens_k", "total_sequence_length", "cos", "sin"],
        f"{own}.mixed",
        *present,
        domain=MICROSOFT,
        num_heads=shape.heads,
        kv_num_heads=shape.kv_heads,
        do_rotary=1,
        rotary_interleaved=1,
    )
    return builder.add("MatMul", [mixed, builder.half(f"{own}.o", weights[f"{part}.o_proj.weight"].T)], f"{own}.out")


def _feed_forward(builder: _Builder, weights: Mapping[str, np.ndarray], layer: int, x: str) -> str:
    part, own = f"model.layers.{layer}.mlp", f"mlp.{layer}"
    joined = builder.half(f"{own}.gate_up", weights[f"{part}.gate_up_proj.weight"].T)
    both = builder.add("MatMul", [x, joined], f"{own}.both")
    builder.add("Split", [both], f"{own}.gate", f"{own}.up", axis=-1, num_outputs=2)
    # QuickGelu with alpha 1 is SiLU in one operator.
    gate = builder.add("QuickGelu", [f"{own}.gate"], f"{own}.silu", domain=MICROSOFT, alpha=1.0)
    gated = builder.add("Mul", [gate, f"{own}.up"], f"{own}.gated")
    down = builder.half(f"{own}.down", weights[f"{part}.down_proj.weight"].T)
    return builder.add("MatMul", [gated, down], f"{own}.out")


def _scores(builder: _Builder, x: str, embeddings: str) -> None:
    """Score the last token of each row only; the output layer is tied to the embeddings."""
    last = builder.exact("last", np.array(-1, dtype=np.int64))
    hidden = builder.add("Gather", [x, last], "last.hidden", axis=1)
    tied = builder.add("Transpose", [embeddings], "embeddings.transposed", perm=[1, 0])
    builder.add("MatMul", [hidden, tied], "logits")


def _model(builder: _Builder, shape: Shape) -> ModelProto:
    room = ["batch", shape.kv_heads, "room", shape.head]
    caches = [f"{what}.{layer}" for layer in range(shape.layers) for what in ("key", "value")]
    value = helper.make_tensor_value_info
    inputs = [
        value("input_ids", TensorProto.INT64, ["batch", "time"]),
        value("seqlens_k", TensorProto.INT32, ["batch"]),
        value("total_sequence_length", TensorProto.INT32, [1]),
        *(value(f"past.{cache}", TensorProto.FLOAT, room) for cache in caches),
    ]
    outputs = [
        value("logits", TensorProto.FLOAT, ["batch", shape.vocabulary]),
        *(value(f"present.{cache}", TensorProto.FLOAT, room) for cache in caches),
    ]
    graph = helper.make_graph(builder.nodes, "glm", inputs, outputs, builder.weights)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="autoglm")
