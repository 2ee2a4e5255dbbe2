"""The same GLM in PyTorch: slots for the decode loop where ONNX Runtime is not wanted, and the only way to BF16.

torch and onnx are no part of the development environment or of the usual image; to the type checker they are `Any`.
Weights come out of the ONNX graph's file (see `models/autoglm_shop/graph.py`), so one artefact serves both backends.
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import onnx
import torch
from torch.nn import functional

from autoglm_node.engine.sampling import Scores

EPSILON: Final = 1e-5


@dataclass(frozen=True, slots=True)
class TorchShape:
    """Sizes of attention and of the slots."""

    layers: int
    heads: int
    kv_heads: int
    head_size: int


class Weights:
    """The arrays of an ONNX graph as tensors, by the names that `graph_for` gives them."""

    def __init__(self, arrays: dict[str, np.ndarray], kind: Any) -> None:
        """Take arrays and the type of number to hold them in."""
        self._arrays, self._kind = arrays, kind

    @classmethod
    def read(cls, graph: Path, kind: Any) -> Self:
        """Read a graph's file."""
        stored = onnx.load(graph).graph.initializer
        return cls({one.name: onnx.numpy_helper.to_array(one) for one in stored}, kind)

    def __call__(self, name: str) -> Any:
        """Return one tensor; those that the graph stores as FP16 are found without their ending."""
        array = self._arrays.get(name, self._arrays.get(f"{name}.fp16"))
        if array is None:
            raise ValueError(f"the graph has no weights called {name}")
        return torch.from_numpy(array.astype(np.float32)).to(self._kind)


class _Layer:
    """The weights of one layer and its keys and values [slots, kv heads, room, head size]."""

    def __init__(self, weights: Weights, layer: int, shape: TorchShape, slots: int, room: int) -> None:
        self.qkv, self.bias = weights(f"attention.{layer}.qkv"), weights(f"attention.{layer}.bias")
        self.out = weights(f"attention.{layer}.o")
        self.gate_up, self.down = weights(f"mlp.{layer}.gate_up"), weights(f"mlp.{layer}.down")
        self.mid_gain, self.out_gain = weights(f"mid.{layer}.gain"), weights(f"out.{layer}.gain")
        size = (slots, shape.kv_heads, room, shape.head_size)
        self.keys, self.values = (torch.zeros(size, dtype=self.qkv.dtype) for _ in range(2))


class TorchModel:
    """The slots of one model; see `SlotModel` for what the methods promise."""

    def __init__(self, weights: Weights, shape: TorchShape, slots: int, max_sequence_tokens: int) -> None:
        """Allocate `slots` slots of `max_sequence_tokens` tokens each."""
        self._shape = shape
        self._layers = [_Layer(weights, n, shape, slots, max_sequence_tokens) for n in range(shape.layers)]
        self._embeddings, self._first_gain = weights("embeddings"), weights("first.gain")
        self._cos, self._sin = weights("cos").float(), weights("sin").float()
        self.vocabulary = int(self._embeddings.shape[0])

    def prefill(self, slot: int, prompts: Items[Items[int]]) -> Scores:
        """Read prompts into `slot` and those after it; the scores after the longest prompts are right, others not."""
        longest = max(map(len, prompts))
        ids = [[*prompt, *[0] * (longest - len(prompt))] for prompt in prompts]
        return self._run(slot, ids, [0] * len(prompts))

    def extend(self, slot: int, input_ids: Items[int], held: int) -> Scores:
        """Append tokens to a slot that holds `held` tokens; return the scores [1, vocabulary] after the last."""
        return self._run(slot, [list(input_ids)], [held])

    def decode(self, tokens: list[int], lengths: list[int]) -> Scores:
        """Append `tokens[i]` to slot i, which holds `lengths[i]` tokens; return the new scores."""
        return self._run(0, [[token] for token in tokens], lengths)

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the first `tokens` tokens that slot `source` holds to slot `target`."""
        for layer in self._layers:
            for buffer in (layer.keys, layer.values):
                buffer[target, :, :tokens] = buffer[source, :, :tokens]

    def _run(self, slot: int, ids: list[list[int]], held: list[int]) -> Scores:
        with torch.inference_mode():
            tokens = torch.tensor(ids)
            places = torch.tensor(held)[:, None] + torch.arange(tokens.shape[1])
            x = self._embeddings[tokens]
            normed = self._norm(x, self._first_gain)
            for layer in self._layers:
                x = x + self._attention(layer, normed, slot, places)
                gate, up = (self._norm(x, layer.mid_gain) @ layer.gate_up).chunk(2, dim=-1)
                x = x + (functional.silu(gate) * up) @ layer.down
                normed = self._norm(x, layer.out_gain)
            scores: Scores = (normed[:, -1] @ self._embeddings.T).float().numpy()
            return scores

    def _norm(self, x: Any, gain: Any) -> Any:
        return functional.rms_norm(x, (x.shape[-1],), gain, EPSILON)

    def _attention(self, layer: _Layer, x: Any, slot: int, places: Any) -> Any:
        shape, (rows, time) = self._shape, places.shape
        heads = (x @ layer.qkv + layer.bias).view(rows, time, -1, shape.head_size).transpose(1, 2)
        q, k, v = heads.split((shape.heads, shape.kv_heads, shape.kv_heads), dim=1)
        total = int(places.max()) + 1
        keys, values = layer.keys[slot : slot + rows], layer.values[slot : slot + rows]
        row = torch.arange(rows)[:, None]
        keys[row, :, places] = self._rotated(k, places).transpose(1, 2)
        values[row, :, places] = v.transpose(1, 2)
        seen = torch.arange(total) <= places[:, None, :, None]
        mixed = functional.scaled_dot_product_attention(
            self._rotated(q, places), keys[:, :, :total], values[:, :, :total], attn_mask=seen, enable_gqa=True
        )
        return mixed.transpose(1, 2).flatten(-2) @ layer.out

    def _rotated(self, x: Any, places: Any) -> Any:
        """Rotate interleaved pairs of the first half of each head."""
        turning, still = x.chunk(2, dim=-1)
        cos, sin = self._cos[places][:, None], self._sin[places][:, None]
        even, odd = turning[..., 0::2].float(), turning[..., 1::2].float()
        turned = torch.stack((even * cos - odd * sin, odd * cos + even * sin), dim=-1).flatten(-2)
        return torch.cat((turned.to(x.dtype), still), dim=-1)


def load(graph: Path, shape: TorchShape, *, bf16: bool, slots: int, room: int, threads: int) -> TorchModel:
    """Load a model from its ONNX file."""
    torch.set_num_threads(threads)
    weights = Weights.read(graph, torch.bfloat16 if bf16 else torch.float32)
    return TorchModel(weights, shape, slots, room)
