"""Specs and model directories for tests of the node: real engine and tokeniser, random weights, endless replies."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from autoglm_api.config import EngineSpec
from autoglm_shop import artifact
from autoglm_shop.chat import trained_tokenizer
from autoglm_shop.shape import Shape

UNLIKELY_TOKENS = 270
QUICK_LAYERS = 2
SLOW_LAYERS = 80  # more than a millisecond for a token, so that a long reply takes a second


def engine_spec(artifact: Path, **changes: object) -> EngineSpec:
    """The spec of a CPU worker; `changes` by field name."""
    fields: dict[str, object] = {
        "deployment": "shop-assistant",
        "namespace": "shop",
        "pool": "light",
        "revision": "7f2a91c3",
        "serves": "Simple",
        "model_name": "glm-test",
        "model_path": str(artifact),
        "backend": "ONNXRuntime",
        "max_sequence_tokens": 512,
        "concurrency": 4,
        "drain_seconds": 10,
    }
    return EngineSpec.model_validate({**fields, **changes})


def write_artifact(directory: Path, layers: int = QUICK_LAYERS) -> Path:
    """Write a model directory; its default reply is 8 tokens."""
    tokenizer = trained_tokenizer(1, queries=50)
    vocabulary = tokenizer.get_vocab_size()
    shape = Shape(hidden=64, layers=layers, heads=4, kv_heads=2, feed_forward=96, vocabulary=vocabulary)
    weights = dict(_weights(shape, np.random.default_rng(7)))
    # Special tokens and single bytes get no score above 0, and among hundreds of random scores the best is above 0.
    weights["model.embed_tokens.weight"][:UNLIKELY_TOKENS] = 0
    artifact.write(directory, shape, weights, tokenizer, 8)
    return directory


def _weights(shape: Shape, rng: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    hidden, inner = shape.hidden, shape.feed_forward
    widths = {"q": shape.heads * shape.head, "k": shape.kv_heads * shape.head, "v": shape.kv_heads * shape.head}
    yield "model.embed_tokens.weight", rng.normal(0, 0.3, (shape.vocabulary, hidden))
    for part in (f"model.layers.{layer}" for layer in range(shape.layers)):
        for name, width in widths.items():
            yield f"{part}.self_attn.{name}_proj.weight", rng.normal(0, 0.1, (width, hidden))
            yield f"{part}.self_attn.{name}_proj.bias", rng.normal(0, 0.1, width)
        yield f"{part}.self_attn.o_proj.weight", rng.normal(0, 0.1, (hidden, widths["q"]))
        yield f"{part}.mlp.gate_up_proj.weight", rng.normal(0, 0.1, (2 * inner, hidden))
        yield f"{part}.mlp.down_proj.weight", rng.normal(0, 0.1, (hidden, inner))
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"{part}.{norm}.weight", np.ones(hidden)
    yield "model.norm.weight", np.ones(hidden)
