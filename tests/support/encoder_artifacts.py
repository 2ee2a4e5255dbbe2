"""Small encoders for tests: real graph and tokeniser, random weights; also as sentence-transformers publishes them."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from autoglm_api.config import EngineSpec
from autoglm_encoder.make import make
from support.node_artifacts import engine_spec

HIDDEN, LAYERS, HEADS, POSITIONS = 32, 2, 4, 64
WORDS = ("the", "kettle", "costs", "a", "mug", "lamp", "blue", "of", "tea", "and")
_MARKS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
VOCABULARY = len(_MARKS) + len(WORDS)


def encoder_spec(artifact: Path, **changes: object) -> EngineSpec:
    """The spec of a CPU worker with an embedding model."""
    fields = {"pool": "vectors", "serves": "Embedding", "model_name": "encoder-test", "model_kind": "Embedding"}
    return engine_spec(artifact, **{**fields, "max_sequence_tokens": POSITIONS, **changes})


def write_encoder(directory: Path, **changes: Any) -> Path:
    """Write the artefact of a small random encoder."""
    make(published(directory.with_name(f"{directory.name}-published"), **changes), directory)
    return directory


def published(directory: Path, *, pooling: str = "mean_tokens", unit_length: bool = True, kind: str = "bert") -> Path:
    """Write a model's directory as sentence-transformers does."""
    (directory / "1_Pooling").mkdir(parents=True)
    config: dict[str, Any] = {
        "model_type": kind,
        "hidden_size": HIDDEN,
        "num_attention_heads": HEADS,
        "num_hidden_layers": LAYERS,
    }
    config |= {"max_position_embeddings": POSITIONS, "vocab_size": VOCABULARY}
    modules = ["Transformer", "Pooling", *(["Normalize"] if unit_length else [])]
    files: dict[str, Any] = {
        "config.json": config,
        "modules.json": [{"type": f"sentence_transformers.models.{name}"} for name in modules],
        "1_Pooling/config.json": {"word_embedding_dimension": HIDDEN, f"pooling_mode_{pooling}": True},
        "sentence_bert_config.json": {"max_seq_length": POSITIONS},
    }
    for name, content in files.items():
        (directory / name).write_text(json.dumps(content))
    (directory / "model.safetensors").write_bytes(_safetensors(random_weights()))
    _tokenizer().save(str(directory / "tokenizer.json"))
    return directory


def random_weights(seed: int = 7) -> dict[str, np.ndarray]:
    """The parameters of a BertModel by their names in transformers."""
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (VOCABULARY, HIDDEN),
        "embeddings.position_embeddings.weight": (POSITIONS, HIDDEN),
        "embeddings.token_type_embeddings.weight": (2, HIDDEN),
    }
    for layer in (f"encoder.layer.{number}" for number in range(LAYERS)):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            shapes[f"{layer}.attention.{part}.weight"] = (HIDDEN, HIDDEN)
            shapes[f"{layer}.attention.{part}.bias"] = (HIDDEN,)
        shapes[f"{layer}.intermediate.dense.weight"] = (2 * HIDDEN, HIDDEN)
        shapes[f"{layer}.intermediate.dense.bias"] = (2 * HIDDEN,)
        shapes[f"{layer}.output.dense.weight"] = (HIDDEN, 2 * HIDDEN)
        shapes[f"{layer}.output.dense.bias"] = (HIDDEN,)
    weights = {name: rng.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}
    norms = ["embeddings.LayerNorm"]
    for number in range(LAYERS):
        norms += [f"encoder.layer.{number}.{part}output.LayerNorm" for part in ("attention.", "")]
    for norm in norms:
        weights[f"{norm}.weight"] = rng.normal(1, 0.1, HIDDEN).astype(np.float32)
        weights[f"{norm}.bias"] = rng.normal(0, 0.1, HIDDEN).astype(np.float32)
    return weights


def _safetensors(tensors: dict[str, np.ndarray]) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    content = b""
    for name, tensor in tensors.items():
        raw = tensor.tobytes()
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [len(content), len(content) + len(raw)]}
        content += raw
    told = json.dumps(header).encode()
    return struct.pack("<Q", len(told)) + told + content


def _tokenizer() -> Tokenizer:
    words = {word: number for number, word in enumerate((*_MARKS, *WORDS))}
    tokenizer = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.add_special_tokens(list(_MARKS))
    marks = [(mark, words[mark]) for mark in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    # As published files do, which would cut and fill every text.
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    return tokenizer
