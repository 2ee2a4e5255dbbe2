"""The sizes of a GLM-architecture model, and how HuggingFace's configuration names them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a model; half of every head is rotated (GLM's partial rotary)."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    feed_forward: int
    vocabulary: int
    head: int = 32
    theta: float = 10_000.0
    epsilon: float = 1e-5

    def config(self, max_positions: int, stop_ids: list[int], pad_id: int) -> dict[str, object]:
        """Return the model as a `config.json` of transformers' GlmForCausalLM."""
        return {
            "architectures": ["GlmForCausalLM"],
            "model_type": "glm",
            "hidden_size": self.hidden,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": self.head,
            "intermediate_size": self.feed_forward,
            "vocab_size": self.vocabulary,
            "max_position_embeddings": max_positions,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": self.theta,
                "partial_rotary_factor": 0.5,
            },
            "rms_norm_eps": self.epsilon,
            "hidden_act": "silu",
            "attention_bias": True,
            "attention_dropout": 0.0,
            "tie_word_embeddings": True,
            "eos_token_id": stop_ids,
            "pad_token_id": pad_id,
            "dtype": "float16",
        }
