"""A GLM as an ONNX Runtime session whose keys and values stay in place, slot by slot.

The graph (see `models/autoglm_shop/graph.py`) reads and writes one buffer per layer for keys and
one for values, [slots, kv heads, max tokens, head size]. Binding the same memory as `past` and
`present` makes the attention operator append in place instead of copying. A run over slots
0..n-1 binds the first n rows of every buffer.
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from autoglm_node.engine.sampling import Scores

LOGITS: Final = "logits"
INPUT_IDS: Final = "input_ids"
LAST_POSITION: Final = "seqlens_k"
TOTAL_LENGTH: Final = "total_sequence_length"


@dataclass(frozen=True, slots=True)
class CacheShape:
    """Sizes of the key and value buffers."""

    layers: int
    kv_heads: int
    head_size: int
    vocabulary: int


def session_for(path: Path, threads: int) -> ort.InferenceSession:
    """Load a graph; more than one thread rarely pays for models of a few megabytes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Replicas share cores: a thread that spins while it waits takes its neighbours' time.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


class OrtModel:
    """The slots of one session."""

    def __init__(self, session: ort.InferenceSession, shape: CacheShape, slots: int, max_sequence_tokens: int) -> None:
        """Allocate `slots` slots of `max_sequence_tokens` tokens each."""
        self._session = session
        self.vocabulary = shape.vocabulary
        size = (slots, shape.kv_heads, max_sequence_tokens, shape.head_size)
        self._cache = {
            f"{name}.{layer}": np.zeros(size, dtype=np.float32)
            for layer in range(shape.layers)
            for name in ("key", "value")
        }
        self._bindings: dict[tuple[int, int], Any] = {}
        self._decodes = [_DecodeRun(self._binding(0, n), n, shape.vocabulary) for n in range(1, slots + 1)]

    def prefill(self, slot: int, prompts: Items[Items[int]]) -> Scores:
        """Read prompts into `slot` and those after it, padded to the longest; only its scores [rows, vocabulary] count.

        What a shorter row holds after its own tokens is overwritten by the next ones.
        """
        ids = np.zeros((len(prompts), max(map(len, prompts))), dtype=np.int64)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = prompt
        return self._read(slot, ids, np.array([len(prompt) - 1 for prompt in prompts], np.int32), ids.shape[1])

    def extend(self, slot: int, input_ids: Items[int], held: int) -> Scores:
        """Append tokens to a slot that holds `held` tokens; return scores [1, vocabulary]."""
        total = held + len(input_ids)
        return self._read(slot, np.array([input_ids], np.int64), np.array([total - 1], np.int32), total)

    def decode(self, tokens: list[int], lengths: list[int]) -> Scores:
        """Append one token to each of the first slots; return scores, valid until the next call."""
        run = self._decodes[len(tokens) - 1]
        run.tokens[:, 0] = tokens
        run.last[:] = lengths
        run.total[0] = max(lengths) + 1
        self._session.run_with_iobinding(run.binding)
        return run.scores

    def move(self, source: int, target: int, tokens: int) -> None:
        """Copy the keys and values of the first `tokens` tokens of one slot over another's."""
        for buffer in self._cache.values():
            buffer[target, :, :tokens] = buffer[source, :, :tokens]

    def _read(self, slot: int, ids: np.ndarray, last: np.ndarray, total: int) -> Scores:
        rows = (slot, slot + len(ids))
        if rows not in self._bindings:
            self._bindings[rows] = self._binding(*rows)
        binding, scores = self._bindings[rows], np.empty((len(ids), self.vocabulary), dtype=np.float32)
        binding.bind_ortvalue_input(INPUT_IDS, _shared(ids))
        binding.bind_ortvalue_input(LAST_POSITION, _shared(last))
        binding.bind_ortvalue_input(TOTAL_LENGTH, _shared(np.array([total], np.int32)))
        binding.bind_ortvalue_output(LOGITS, _shared(scores))
        self._session.run_with_iobinding(binding)
        return scores

    def _binding(self, first: int, end: int) -> Any:
        binding = self._session.io_binding()
        for name, buffer in self._cache.items():
            value = _shared(buffer[first:end])
            binding.bind_ortvalue_input(f"past.{name}", value)
            binding.bind_ortvalue_output(f"present.{name}", value)
        return binding


class _DecodeRun:
    """A binding for a batch of `n` with the arrays that it reads and writes."""

    def __init__(self, binding: Any, n: int, vocabulary: int) -> None:
        self.binding = binding
        self.tokens = np.zeros((n, 1), dtype=np.int64)
        self.last = np.zeros(n, dtype=np.int32)
        self.total = np.zeros(1, dtype=np.int32)
        self.scores = np.empty((n, vocabulary), dtype=np.float32)
        binding.bind_ortvalue_input(INPUT_IDS, _shared(self.tokens))
        binding.bind_ortvalue_input(LAST_POSITION, _shared(self.last))
        binding.bind_ortvalue_input(TOTAL_LENGTH, _shared(self.total))
        binding.bind_ortvalue_output(LOGITS, _shared(self.scores))


def _shared(array: np.ndarray) -> Any:
    """Return the array as an ONNX Runtime value on the same memory."""
    return ort.OrtValue.ortvalue_from_numpy(array)
