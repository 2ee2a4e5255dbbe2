"""The GLM architecture in plain torch, with parameter names of transformers' GlmForCausalLM.

torch is not part of the development environment, so to the type checker its classes are `Any`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as f

if TYPE_CHECKING:
    from torch import Tensor

    from autoglm_shop.shape import Shape


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate interleaved pairs of the first half of each head; `cos` is [batch, 1, time, pairs]."""
    turning, still = x.chunk(2, dim=-1)
    even, odd = turning[..., 0::2], turning[..., 1::2]
    turned = torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)
    return torch.cat((turned, still), dim=-1)


class Attention(nn.Module):  # type: ignore[misc]
    """Grouped-query attention with biased query, key and value projections."""

    def __init__(self, shape: Shape) -> None:
        """Create the projections."""
        super().__init__()
        self.shape = shape
        self.q_proj = nn.Linear(shape.hidden, shape.heads * shape.head)
        self.k_proj = nn.Linear(shape.hidden, shape.kv_heads * shape.head)
        self.v_proj = nn.Linear(shape.hidden, shape.kv_heads * shape.head)
        self.o_proj = nn.Linear(shape.heads * shape.head, shape.hidden, bias=False)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """Attend; `mask` [batch, 1, 1, time, time] is added to the scores."""
        batch, time = x.shape[:2]
        head, kv_heads = self.shape.head, self.shape.kv_heads
        group = self.shape.heads // kv_heads
        q = rotated(self.q_proj(x).view(batch, time, -1, head).transpose(1, 2), *turn)
        k = rotated(self.k_proj(x).view(batch, time, -1, head).transpose(1, 2), *turn)
        v = self.v_proj(x).view(batch, time, -1, head).transpose(1, 2)
        # One matrix product per key head serves its whole group of query heads. Written out,
        # this trains faster on a CPU than torch's fused attention does with a mask.
        scores = q.reshape(batch, kv_heads, group * time, head) @ k.transpose(-1, -2) * head**-0.5
        scores = scores.view(batch, kv_heads, group, time, time) + mask
        mixed = scores.softmax(-1).to(v.dtype).view(batch, kv_heads, group * time, time) @ v
        mixed = mixed.view(batch, -1, time, head).transpose(1, 2).flatten(-2)
        return self.o_proj(mixed)


class FeedForward(nn.Module):  # type: ignore[misc]
    """SwiGLU with the gate and up projections fused, gate first."""

    def __init__(self, shape: Shape) -> None:
        """Create the projections."""
        super().__init__()
        self.gate_up_proj = nn.Linear(shape.hidden, 2 * shape.feed_forward, bias=False)
        self.down_proj = nn.Linear(shape.feed_forward, shape.hidden, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the gated layer."""
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        return self.down_proj(up * f.silu(gate))


class Layer(nn.Module):  # type: ignore[misc]
    """One pre-norm decoder layer."""

    def __init__(self, shape: Shape) -> None:
        """Create both halves."""
        super().__init__()
        self.input_layernorm = nn.RMSNorm(shape.hidden, eps=shape.epsilon)
        self.self_attn = Attention(shape)
        self.post_attention_layernorm = nn.RMSNorm(shape.hidden, eps=shape.epsilon)
        self.mlp = FeedForward(shape)

    def forward(self, x: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        """Add attention, then the feed-forward layer."""
        x = x + self.self_attn(self.input_layernorm(x), turn, mask)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):  # type: ignore[misc]
    """Embeddings, layers and the final norm (`model.` in transformers' names)."""

    def __init__(self, shape: Shape) -> None:
        """Create the stack."""
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = nn.RMSNorm(shape.hidden, eps=shape.epsilon)


class Glm(nn.Module):  # type: ignore[misc]
    """The language model; the output layer is tied to the embeddings."""

    def __init__(self, shape: Shape) -> None:
        """Create the model with GLM's normal(0, 0.02) start."""
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def turn(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosine and sine of the rotary angles of `positions` [batch, time]."""
        width = self.shape.head // 2
        frequencies = self.shape.theta ** (-torch.arange(0, width, 2) / width)
        angles = positions[:, None, :, None] * frequencies
        return angles.cos(), angles.sin()

    def hidden(self, tokens: Tensor, positions: Tensor, mask: Tensor) -> Tensor:
        """Return the normalised last hidden states [batch, time, hidden]."""
        x = self.model.embed_tokens(tokens)
        turn = self.turn(positions)
        for layer in self.model.layers:
            x = layer(x, turn, mask)
        return self.model.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Return the scores of the next token."""
        return f.linear(hidden, self.model.embed_tokens.weight)


def tree_mask(branches: Tensor) -> Tensor:
    """Return 0 where a token may look (back at the stem, branch 0, or its own branch), else -inf."""
    time = branches.shape[1]
    causal = torch.ones(time, time, dtype=torch.bool).tril()
    own = branches[:, :, None] == branches[:, None, :]
    stem = branches[:, None, :] == 0
    seen = ((own | stem) & causal)[:, None, None]
    return torch.zeros(seen.shape).masked_fill(~seen, float("-inf"))
