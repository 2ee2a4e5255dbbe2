"""The Open Inference Protocol (and Triton's generate extension), as far as the gateway has to understand it. Pure."""

import struct
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, unquote

from autoglm_gateway.json_body import json_object
from autoglm_gateway.refusal import RefusalError
from autoglm_gateway.route import Asked
from autoglm_gateway.tokens import prompt_tokens

JSON_LENGTH_HEADER: Final = "inference-header-content-length"
_LENGTH: Final = struct.Struct("<I")
_GET_ACTIONS: Final = frozenset({"", "config", "ready", "stats"})
_POST_ACTIONS: Final = frozenset({"infer", "generate", "generate_stream"})
_MODEL_PARTS: Final = 3  # "v2", "models", the name
_VERSION_PARTS: Final = 2  # "versions", the number
_MAX_DIGITS: Final = 19  # Python refuses to read a number of thousands of digits


@dataclass(frozen=True, slots=True)
class ModelPath:
    """`/v2/models/NAME[/versions/VERSION][/ACTION]`."""

    model: str
    version: str
    action: str

    def rewritten(self, model: str) -> str:
        """Return the path with another model's name in it."""
        version = f"/versions/{quote(self.version, safe='')}" if self.version else ""
        action = f"/{self.action}" if self.action else ""
        return f"/v2/models/{quote(model, safe='')}{version}{action}"


def parse_model_path(path: str, method: str) -> ModelPath:
    """Parse the path of a model's resource.

    Raises:
        RefusalError: 404 for a path that does not exist, 405 for a method that it does not have.
    """
    parts = path.strip("/").split("/")
    if parts[:2] != ["v2", "models"] or len(parts) < _MODEL_PARTS or not parts[2]:
        raise RefusalError(404, f"no such path: {path}")
    rest = parts[_MODEL_PARTS:]
    version = ""
    if rest[:1] == ["versions"] and len(rest) >= _VERSION_PARTS:
        version, rest = unquote(rest[1]), rest[_VERSION_PARTS:]
    action = "/".join(rest)
    allowed = "GET" if action in _GET_ACTIONS else "POST" if action in _POST_ACTIONS else None
    if allowed is None:
        raise RefusalError(404, f"no such path: {path}")
    if method != allowed:
        raise RefusalError(405, f"use {allowed} for {path}", headers=(("allow", allowed),))
    return ModelPath(unquote(parts[2]), version, action)


def asked_of(action: str, body: bytes, json_length: str | None) -> Asked:
    """Return the text that a body asks about: `text_input` of generate, the first BYTES input of infer.

    Raises:
        RefusalError: 400, when the body is malformed or has no text in it.
    """
    if action != "infer":
        return _asked_of_generate(json_object(body))
    split = _json_length(json_length, len(body))
    return _asked_of_infer(json_object(body[:split]), body[split:])


def _json_length(header: str | None, size: int) -> int:
    if header is None:
        return size
    if not (header.isascii() and header.isdigit() and len(header) <= _MAX_DIGITS) or int(header) > size:
        raise RefusalError(400, f"{JSON_LENGTH_HEADER} must be a number of bytes within the body")
    return int(header)


def _asked_of_generate(body: dict[str, Any]) -> Asked:
    text = body.get("text_input")
    if not isinstance(text, str):
        raise RefusalError(400, "`text_input` must be a string")
    max_tokens = body.get("max_tokens")
    limit = max_tokens if isinstance(max_tokens, int) else 0
    return Asked(text, len(text), 1, limit, prompt_tokens=prompt_tokens(text))


def _asked_of_infer(body: dict[str, Any], binary: bytes) -> Asked:
    inputs = body.get("inputs")
    if not isinstance(inputs, list):
        raise RefusalError(400, "`inputs` must be a list of tensors")
    offset = 0
    for tensor in inputs:
        if not isinstance(tensor, dict):
            raise RefusalError(400, "every input must be an object with name, shape, datatype and data")
        size = _binary_size(tensor)
        if tensor.get("datatype") == "BYTES":
            text = _binary_text(binary, offset, size) if size is not None else _json_text(tensor.get("data"))
            return Asked(text, len(text), prompt_tokens=prompt_tokens(text))
        offset += size or 0
    raise RefusalError(400, "no input of datatype BYTES to route by; name a pool's model instead of the deployment")


def _binary_size(tensor: dict[str, Any]) -> int | None:
    parameters = tensor.get("parameters")
    size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
    if size is not None and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
        raise RefusalError(400, "binary_data_size must be a number of bytes")
    return size


def _binary_text(binary: bytes, offset: int, size: int) -> str:
    """Return the first element of a binary BYTES tensor: four bytes of length (little endian), then the bytes."""
    tensor = binary[offset : offset + size]
    if len(tensor) < size or size < _LENGTH.size:
        raise RefusalError(400, "the binary part is shorter than its binary_data_size says")
    (length,) = _LENGTH.unpack_from(tensor)
    if length > size - _LENGTH.size:
        raise RefusalError(400, "an element of the BYTES tensor is longer than the tensor")
    return tensor[_LENGTH.size : _LENGTH.size + length].decode("utf-8", "replace")


def _json_text(data: object) -> str:
    while isinstance(data, list) and data:
        data = data[0]
    if not isinstance(data, str):
        raise RefusalError(400, "the data of a BYTES input must be a list of strings")
    return data
