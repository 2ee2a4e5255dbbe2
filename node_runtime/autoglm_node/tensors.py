"""How a generation is said to the TensorRT-LLM backend in tensors, and how its responses are read. Pure.

Inputs have a leading dimension of 1: input_ids, input_lengths, request_output_len and others; outputs are output_ids
and output_log_probs. The CPU engine is asked in other words, see events.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, Final

import numpy as np
from tritonclient.grpc import InferInput

from autoglm_node.query import Finish, Generation, Piece

Arrays = Mapping[str, np.ndarray[Any, Any]]
_TYPES: Final = {"INT32": np.int32, "UINT64": np.uint64, "FP32": np.float32, "BOOL": np.bool_}


def write(generation: Generation, end_id: int) -> list[InferInput]:
    """Return the inputs that ask for a generation; `end_id` ends a reply."""
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


def read(arrays: Arrays, ends: AbstractSet[int]) -> Piece:
    """Return one beam of one query; the end of the stream, not a tensor, says that the length was reached."""
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
