"""A model directory: what is in it, and whether it is what its manifest says."""

import hashlib
import json
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field

from autoglm_node.engine.ort_model import CacheShape, OrtModel, session_for

CONFIG: Final = "config.json"
CHAT: Final = "chat.json"
TOKENIZER: Final = "tokenizer.json"
GRAPH: Final = "model.onnx"
MANIFEST: Final = "manifest.json"


class BrokenArtifactError(ValueError):
    """A file of the directory is missing or differs from its manifest."""


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


class ChatFormat(BaseModel):
    """How messages become a prompt: `prefix`, then role mark and content for each, then `reply`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefix: str
    roles: dict[str, str]
    reply: str
    stop_ids: tuple[int, ...] = Field(min_length=1)
    default_max_tokens: int = Field(gt=0)

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read `chat.json` of a model directory."""
        return cls.model_validate_json((directory / CHAT).read_bytes())

    def render(self, messages: list[tuple[str, str]]) -> str:
        """Return the prompt text for (role, content) pairs.

        Raises:
            KeyError: the model knows no such role.
        """
        turns = "".join(self.roles[role] + content for role, content in messages)
        return f"{self.prefix}{turns}{self.reply}"


def verify(directory: Path) -> None:
    """Compare every file that the manifest lists with its SHA-256.

    Raises:
        BrokenArtifactError: a file is missing or was changed.
    """
    listed: dict[str, str] = json.loads((directory / MANIFEST).read_bytes())["files"]
    for name, expected in listed.items():
        path = directory / name
        found = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"
        if found != expected:
            raise BrokenArtifactError(f"{path}: the manifest says {expected}, found {found}")


def load_config(directory: Path) -> GlmConfig:
    """Read `config.json` of a model directory."""
    return GlmConfig.model_validate_json((directory / CONFIG).read_bytes())


def load_model(directory: Path, *, slots: int, max_sequence_tokens: int, threads: int = 1) -> OrtModel:
    """Verify and load a model directory with `slots` slots of at most the model's own length.

    Raises:
        BrokenArtifactError: see `verify`.
        ValueError: the model cannot hold `max_sequence_tokens` tokens.
    """
    verify(directory)
    config = load_config(directory)
    if max_sequence_tokens > config.max_position_embeddings:
        raise ValueError(
            f"the model holds {config.max_position_embeddings} tokens, {max_sequence_tokens} were asked for"
        )
    session = session_for(directory / GRAPH, threads)
    return OrtModel(session, config.cache_shape, slots, max_sequence_tokens)
