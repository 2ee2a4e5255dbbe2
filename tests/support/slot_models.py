"""Models for tests of the CPU engine: one of pure arithmetic, and a tiny GLM in numpy and ONNX."""

from collections.abc import Sequence as Items

import numpy as np

from autoglm_node.engine.ort_model import CacheShape, OrtModel
from autoglm_shop.graph import graph_for
from autoglm_shop.shape import Shape

VOCABULARY = 31
TINY = Shape(hidden=32, layers=2, heads=4, kv_heads=2, feed_forward=48, vocabulary=VOCABULARY)


class HistoryModel:
    """Its next token depends on every token of the sequence, so a mixed-up slot shows at once."""

    def __init__(self, slots: int) -> None:
        self.slots: list[list[int]] = [[] for _ in range(slots)]
        self.batches: list[int] = []

    def prefill(self, slot: int, prompts: Items[Items[int]]) -> np.ndarray:
        longest = max(map(len, prompts))
        for row, ids in enumerate(prompts):
            # What pads a shorter prompt stays in its slot until it is overwritten.
            self.slots[slot + row] = [*map(int, ids), *[0] * (longest - len(ids))]
        return self._scores(range(slot, slot + len(prompts)))

    def extend(self, slot: int, input_ids: Items[int], held: int) -> np.ndarray:
        self.slots[slot] = [*self.slots[slot][:held], *input_ids]
        assert len(self.slots[slot]) == held + len(input_ids)
        return self._scores([slot])

    def decode(self, tokens: list[int], lengths: list[int]) -> np.ndarray:
        self.batches.append(len(tokens))
        for slot, (token, length) in enumerate(zip(tokens, lengths, strict=True)):
            assert len(self.slots[slot]) >= length
            self.slots[slot] = [*self.slots[slot][:length], token]
        return self._scores(range(len(tokens)))

    def move(self, source: int, target: int, tokens: int) -> None:
        assert len(self.slots[source]) >= tokens
        self.slots[target] = self.slots[source][:tokens]

    def _scores(self, slots: "range | list[int]") -> np.ndarray:
        rows = np.zeros((len(slots), VOCABULARY), dtype=np.float32)
        for row, slot in enumerate(slots):
            rows[row, history_next(self.slots[slot])] = 5.0
        return rows


def history_next(history: list[int]) -> int:
    """The token that HistoryModel finds likeliest after `history`."""
    return sum((place + 1) * (token + 3) for place, token in enumerate(history)) % VOCABULARY


def tiny_weights(seed: int) -> dict[str, np.ndarray]:
    """Random weights of TINY, exactly representable as FP16, by their transformers names."""
    rng = np.random.default_rng(seed)
    hidden, inner = TINY.hidden, TINY.feed_forward
    widths = {"q": TINY.heads * TINY.head, "k": TINY.kv_heads * TINY.head, "v": TINY.kv_heads * TINY.head}
    sizes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (VOCABULARY, hidden)}
    for layer in range(TINY.layers):
        part = f"model.layers.{layer}"
        for name, width in widths.items():
            sizes[f"{part}.self_attn.{name}_proj.weight"] = (width, hidden)
            sizes[f"{part}.self_attn.{name}_proj.bias"] = (width,)
        sizes[f"{part}.self_attn.o_proj.weight"] = (hidden, widths["q"])
        sizes[f"{part}.mlp.gate_up_proj.weight"] = (2 * inner, hidden)
        sizes[f"{part}.mlp.down_proj.weight"] = (hidden, inner)
    weights = {name: rng.normal(0, 0.3, size) for name, size in sizes.items()}
    for layer in range(TINY.layers):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[f"model.layers.{layer}.{norm}.weight"] = rng.normal(1, 0.1, hidden)
    weights["model.norm.weight"] = rng.normal(1, 0.1, hidden)
    return {name: value.astype(np.float16).astype(np.float32) for name, value in weights.items()}


def tiny_graph(seed: int) -> bytes:
    """TINY with random weights, as a serialised ONNX model."""
    return bytes(graph_for(TINY, tiny_weights(seed)).SerializeToString())


def tiny_model(session: object, slots: int, room: int) -> OrtModel:
    """Slots over a session of `tiny_graph`."""
    return OrtModel(session, CacheShape(TINY.layers, TINY.kv_heads, TINY.head, VOCABULARY), slots, room)


def reference_scores(weights: dict[str, np.ndarray], ids: list[int]) -> np.ndarray:
    """Scores after the last of `ids`: the GLM forward pass spelt out in numpy, without any cache."""
    embeddings = weights["model.embed_tokens.weight"]
    x = embeddings[ids].astype(np.float64)
    for layer in range(TINY.layers):
        part = {name.split(f"layers.{layer}.")[-1]: value for name, value in weights.items()}
        x = x + _attention(part, _norm(x, part["input_layernorm.weight"]))
        gate, up = np.split(
            _norm(x, part["post_attention_layernorm.weight"]) @ part["mlp.gate_up_proj.weight"].T, 2, axis=-1
        )
        x = x + (gate / (1 + np.exp(-gate)) * up) @ part["mlp.down_proj.weight"].T
    return np.asarray(_norm(x, weights["model.norm.weight"])[-1] @ embeddings.T)


def _norm(x: np.ndarray, gain: np.ndarray) -> np.ndarray:
    return np.asarray(x / np.sqrt((x**2).mean(-1, keepdims=True) + TINY.epsilon) * gain)


def _attention(part: dict[str, np.ndarray], x: np.ndarray) -> np.ndarray:
    def heads(name: str) -> np.ndarray:
        projected = x @ part[f"self_attn.{name}_proj.weight"].T + part[f"self_attn.{name}_proj.bias"]
        return np.asarray(projected.reshape(len(x), -1, TINY.head).swapaxes(0, 1))

    group = TINY.heads // TINY.kv_heads
    q, k = _rotated(heads("q")), np.repeat(_rotated(heads("k")), group, axis=0)
    scores = q @ k.swapaxes(1, 2) / np.sqrt(TINY.head)
    scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = shares / shares.sum(-1, keepdims=True) @ np.repeat(heads("v"), group, axis=0)
    return np.asarray(mixed.swapaxes(0, 1).reshape(len(x), -1) @ part["self_attn.o_proj.weight"].T)


def _rotated(x: np.ndarray) -> np.ndarray:
    """Turn the pairs (0, 1), (2, 3) ... of the first half of a head, as complex numbers."""
    width = TINY.head // 2
    angles = np.arange(x.shape[1])[:, None] * TINY.theta ** (-np.arange(0, width, 2) / width)
    turned = (x[..., 0:width:2] + 1j * x[..., 1:width:2]) * np.exp(1j * angles)
    pairs = np.stack((turned.real, turned.imag), axis=-1).reshape(*x.shape[:2], width)
    return np.concatenate((pairs, x[..., width:]), axis=-1)
