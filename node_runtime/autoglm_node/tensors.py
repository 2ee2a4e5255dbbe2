"""How a generation is said in tensors, and how a response is read: one dialect per backend. Pure.

| dialect | inputs | outputs |
|---|---|---|
| Native (CPU engine) | input_ids, max_tokens, what differs from greedy | token_ids, logprobs, finish_reason, top_* |
| TensorRT-LLM (leading 1) | input_ids, input_lengths, request_output_len ... | output_ids, output_log_probs |
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final, NamedTuple

import numpy as np
from tritonclient.grpc import InferInput

from autoglm_api.spec import Backend
from autoglm_node.query import Alternatives, Finish, Generation, Piece
from autoglm_node.sampling import Sampling

Arrays = Mapping[str, np.ndarray[Any, Any]]
_TYPES: Final = {"INT32": np.int32, "INT64": np.int64, "UINT64": np.uint64, "FP32": np.float32, "BOOL": np.bool_}
_ABSENT: Final = {**asdict(Sampling()), "top_logprobs": 0}  # what the CPU engine takes when it is not told


class Dialect(NamedTuple):
    """Both directions of one backend; `read` gets the output tensors that are present.

    `says_finish` is whether the last response of a reply says why it ended.
    """

    write: Callable[[Generation], list[InferInput]]
    read: Callable[[Arrays], Piece]
    says_finish: bool


def dialect_for(backend: Backend, stop_ids: Sequence[int]) -> Dialect:
    """Return the dialect of a backend; `stop_ids` are the tokens that end a reply."""
    if backend in (Backend.ONNX_RUNTIME, Backend.PYTORCH):
        return Dialect(_write_native, _read_native, says_finish=True)
    ends = frozenset(stop_ids)
    return Dialect(
        lambda generation: _write_tensorrt_llm(generation, stop_ids[0]),
        lambda arrays: _read_batched(arrays, ends),
        says_finish=False,
    )


def _write_native(generation: Generation) -> list[InferInput]:
    return [
        _tensor("input_ids", "INT32", generation.input_ids),
        _tensor("max_tokens", "INT32", [generation.max_tokens]),
        *(
            _tensor(name, datatype, [value])
            for name, (datatype, value) in _native_options(generation).items()
            if value != _ABSENT[name]
        ),
    ]


def _native_options(generation: Generation) -> dict[str, tuple[str, float]]:
    asked = generation.sampling
    return {
        "temperature": ("FP32", asked.temperature),
        "seed": ("INT64", asked.seed),
        "top_p": ("FP32", asked.top_p),
        "top_k": ("INT32", asked.top_k),
        "min_p": ("FP32", asked.min_p),
        "presence_penalty": ("FP32", asked.presence_penalty),
        "frequency_penalty": ("FP32", asked.frequency_penalty),
        "top_logprobs": ("INT32", generation.top_logprobs),
    }


def _read_native(arrays: Arrays) -> Piece:
    ids = tuple(arrays["token_ids"].tolist())
    finish = Finish(int(arrays["finish_reason"][0]))
    return Piece(ids, tuple(arrays["logprobs"].tolist()), finish, _alternatives(arrays, len(ids)))


def _alternatives(arrays: Arrays, tokens: int) -> tuple[Alternatives, ...]:
    if "top_token_ids" not in arrays or not tokens:
        return ()
    pairs = list(zip(arrays["top_token_ids"].tolist(), arrays["top_logprobs"].tolist(), strict=True))
    each = len(pairs) // tokens
    return tuple(tuple(pairs[start : start + each]) for start in range(0, tokens * each, each))


def _write_tensorrt_llm(generation: Generation, end_id: int) -> list[InferInput]:
    asked = generation.sampling
    # The backend takes no temperature of 0; the likeliest token alone is greedy.
    temperature, top_k = (asked.temperature, asked.top_k) if asked.temperature else (1.0, 1)
    return [
        _tensor("input_ids", "INT32", [generation.input_ids]),
        _tensor("input_lengths", "INT32", [[len(generation.input_ids)]]),
        _tensor("request_output_len", "INT32", [[generation.max_tokens]]),
        _tensor("end_id", "INT32", [[end_id]]),
        _tensor("pad_id", "INT32", [[end_id]]),
        _tensor("temperature", "FP32", [[temperature]]),
        _tensor("runtime_top_k", "INT32", [[top_k]]),
        _tensor("runtime_top_p", "FP32", [[asked.top_p]]),
        _tensor("presence_penalty", "FP32", [[asked.presence_penalty]]),
        _tensor("frequency_penalty", "FP32", [[asked.frequency_penalty]]),
        _tensor("random_seed", "UINT64", [[asked.seed]]),
        _tensor("return_log_probs", "BOOL", [[True]]),
        _tensor("streaming", "BOOL", [[True]]),
    ]


def _read_batched(arrays: Arrays, ends: frozenset[int]) -> Piece:
    """Read one beam of one query; the end of the stream, not a tensor, says that the length was reached."""
    ids = arrays["output_ids"].ravel().tolist()
    logprobs = arrays.get("output_log_probs")
    scores = [0.0] * len(ids) if logprobs is None else logprobs.ravel().tolist()
    kept = [(token, score) for token, score in zip(ids, scores, strict=False) if token not in ends]
    finish = Finish.STOP if len(kept) < len(ids) else Finish.NONE
    return Piece(tuple(token for token, _ in kept), tuple(score for _, score in kept), finish)


def _tensor(name: str, datatype: str, values: Sequence[Any]) -> InferInput:
    array: np.ndarray[Any, Any] = np.asarray(values, dtype=_TYPES[datatype])
    tensor = InferInput(name, list(array.shape), datatype)
    tensor.set_data_from_numpy(array)
    return tensor
