"""The Open Inference Protocol of an embedding model: `text_input` BYTES [n] in, `embedding` FP32 [n, numbers] out."""

import struct
from typing import Any, Final

import orjson

from autoglm_node.embedding.encoder import Vectors
from autoglm_node.embedding.openai import MAX_TEXTS
from autoglm_node.embedding.query import VectorQuery
from autoglm_node.inference_protocol import BINARY_HEADER, MODEL_VERSION, TEXT_INPUT, Tensor, bad

VECTOR_OUTPUT: Final = "embedding"
_LENGTH: Final = struct.Struct("<I")


def query_of(tensors: list[Tensor], binary: bytes) -> VectorQuery:
    """Return the query of an infer request's one tensor, whose binary data follow or not.

    Raises:
        RefusalError: 400, with a sentence that names the tensor.
    """
    if [tensor.name for tensor in tensors] != [TEXT_INPUT] or tensors[0].datatype != "BYTES":
        raise bad(f"there is one input, {TEXT_INPUT!r} (BYTES, shape [n])")
    (tensor,) = tensors
    size = tensor.parameters.get("binary_data_size")
    if size is not None and size != len(binary):
        raise bad(f"input {TEXT_INPUT!r}: binary_data_size {size!r} is not what the body has")
    texts = _flat(tensor.data) if size is None else _elements(binary)
    if not 0 < len(texts) <= MAX_TEXTS or _product(tensor.shape) != len(texts):
        raise bad(f"input {TEXT_INPUT!r} has shape {tensor.shape} and {len(texts)} elements; 1 to {MAX_TEXTS} may be")
    if not all(isinstance(text, str) and text for text in texts):
        raise bad(f"input {TEXT_INPUT!r}: every element is a text that is not empty")
    return VectorQuery(tuple(texts))


def _product(shape: list[int]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def _flat(data: list[Any] | None) -> list[Any]:
    """Return the elements of nested lists of one element each: [["a"], ["b"]] for shape [2, 1]."""
    return [item[0] if isinstance(item, list) and len(item) == 1 else item for item in data or []]


def _elements(binary: bytes) -> list[str]:
    """Return the elements of a binary BYTES tensor, each after its length."""
    found: list[str] = []
    offset = 0
    try:
        while offset < len(binary):
            (length,) = _LENGTH.unpack_from(binary, offset)
            offset += _LENGTH.size
            if length > len(binary) - offset:
                raise bad(f"input {TEXT_INPUT!r}: an element of {length} bytes goes beyond the body")
            found.append(binary[offset : offset + length].decode())
            offset += length
    except (struct.error, UnicodeDecodeError) as error:
        raise bad(f"input {TEXT_INPUT!r}: {error}") from None
    return found


def infer_answer(query_id: str, model: str, vectors: Vectors, *, binary: bool) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body of the answer to an infer request."""
    output: dict[str, Any] = {"name": VECTOR_OUTPUT, "datatype": "FP32", "shape": list(vectors.shape)}
    head: dict[str, Any] = {"model_name": model, "model_version": MODEL_VERSION, "outputs": [output]}
    if query_id:
        head["id"] = query_id
    if not binary:
        output["data"] = vectors.ravel()
        return [("content-type", "application/json")], orjson.dumps(head, option=orjson.OPT_SERIALIZE_NUMPY)
    raw = vector_bytes(vectors)
    output["parameters"] = {"binary_data_size": len(raw)}
    json_part = orjson.dumps(head)
    headers = [("content-type", "application/octet-stream"), (BINARY_HEADER, str(len(json_part)))]
    return headers, json_part + raw


def vector_bytes(vectors: Vectors) -> bytes:
    """Return an FP32 tensor as the protocol sends it: row by row, little-endian."""
    return vectors.astype("<f4").tobytes()


def model_description(model: str, platform: str, dimensions: int) -> dict[str, Any]:
    """Return what a model takes and gives."""
    return {
        "name": model,
        "versions": [MODEL_VERSION],
        "platform": platform,
        "inputs": [{"name": TEXT_INPUT, "datatype": "BYTES", "shape": [-1]}],
        "outputs": [{"name": VECTOR_OUTPUT, "datatype": "FP32", "shape": [-1, dimensions]}],
    }
