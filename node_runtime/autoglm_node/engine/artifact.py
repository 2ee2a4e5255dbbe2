"""From a model directory to a model with slots."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from pydantic import BaseModel, ConfigDict

from autoglm_api.spec import Backend, Precision
from autoglm_node import artifact
from autoglm_node.engine.decode_loop import SlotModel
from autoglm_node.engine.ort_model import CacheShape, OrtModel, session_for


class GlmConfig(BaseModel):
    """The part of a HuggingFace GLM configuration that the engine needs."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int

    @property
    def cache_shape(self) -> CacheShape:
        """The sizes of the key and value buffers."""
        return CacheShape(self.num_hidden_layers, self.num_key_value_heads, self.head_dim, self.vocab_size)


class ServedModel(SlotModel, Protocol):
    """A model with slots that says how many tokens it knows."""

    vocabulary: int


@dataclass(frozen=True, slots=True)
class Runs:
    """What runs a model: the backend, the numbers that it computes in and its threads."""

    backend: Backend = Backend.ONNX_RUNTIME
    precision: Precision = Precision.FP32
    threads: int = 1


ONE_THREAD: Final = Runs()


def load_model(directory: Path, *, slots: int, max_sequence_tokens: int, runs: Runs = ONE_THREAD) -> ServedModel:
    """Check and load a model directory with `slots` slots.

    Raises:
        ArtifactError: a file is missing or differs from the manifest.
        ValueError: the model cannot hold `max_sequence_tokens` tokens.
        ImportError: PyTorch is wanted and not installed.
    """
    artifact.check(directory, runs.backend, runs.precision)
    config = GlmConfig.model_validate_json((directory / artifact.CONFIG).read_bytes())
    if max_sequence_tokens > config.max_position_embeddings:
        raise ValueError(
            f"the model holds {config.max_position_embeddings} tokens, {max_sequence_tokens} were asked for"
        )
    graph = directory / artifact.graph_of(runs.precision)
    if runs.backend is Backend.PYTORCH:
        return _torch_model(graph, config, runs, slots, max_sequence_tokens)
    return OrtModel(session_for(graph, runs.threads), config.cache_shape, slots, max_sequence_tokens)


def _torch_model(graph: Path, config: GlmConfig, runs: Runs, slots: int, room: int) -> ServedModel:
    from autoglm_node.engine import torch_model  # noqa: PLC0415 - a gigabyte that other images do not have

    shape = torch_model.TorchShape(
        config.num_hidden_layers, config.num_attention_heads, config.num_key_value_heads, config.head_dim
    )
    bf16 = runs.precision is Precision.BF16
    return torch_model.load(graph, shape, bf16=bf16, slots=slots, room=room, threads=runs.threads)
