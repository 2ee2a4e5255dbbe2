"""From a model directory to a model with slots."""

from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from autoglm_api.spec import Backend
from autoglm_node import artifact
from autoglm_node.engine.ort_model import CacheShape, OrtModel, session_for

GRAPH: Final = "model.onnx"


class GlmConfig(BaseModel):
    """The part of a HuggingFace GLM configuration that the engine needs."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    num_hidden_layers: int
    num_key_value_heads: int
    head_dim: int
    vocab_size: int
    max_position_embeddings: int

    @property
    def cache_shape(self) -> CacheShape:
        """The sizes of the key and value buffers."""
        return CacheShape(self.num_hidden_layers, self.num_key_value_heads, self.head_dim, self.vocab_size)


def load_model(directory: Path, *, slots: int, max_sequence_tokens: int, threads: int = 1) -> OrtModel:
    """Check and load a model directory with `slots` slots.

    Raises:
        ArtifactError: a file is missing or differs from the manifest.
        ValueError: the model cannot hold `max_sequence_tokens` tokens.
    """
    artifact.check(directory, Backend.ONNX_RUNTIME)
    config = GlmConfig.model_validate_json((directory / artifact.CONFIG).read_bytes())
    if max_sequence_tokens > config.max_position_embeddings:
        raise ValueError(
            f"the model holds {config.max_position_embeddings} tokens, {max_sequence_tokens} were asked for"
        )
    session = session_for(directory / GRAPH, threads)
    return OrtModel(session, config.cache_shape, slots, max_sequence_tokens)
