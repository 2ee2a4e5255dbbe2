"""The Open Inference Protocol (KServe v2) over HTTP with Triton's binary tensor extension and generate extension. Pure.

One model signature whatever the engine: `text_input` BYTES [1] in, `text_output` BYTES [1] out, and optional
`max_tokens` INT32 [1] and SAMPLING [1]. The text is one user message; the chat format is applied here.
"""

import struct
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from autoglm_api import names
from autoglm_node.failure import RefusalError
from autoglm_node.openai import MAX_STOPS, SamplingFields, short
from autoglm_node.query import Message, Query

BINARY_HEADER: Final = "inference-header-content-length"
TEXT_INPUT: Final = "text_input"
TEXT_OUTPUT: Final = "text_output"
_FORMATS: Final = {"INT32": "<i", "INT64": "<q", "FP32": "<f"}
_INTEGER: Final = ("INT32", "INT64")
SAMPLING: Final = {
    "temperature": ("FP32",),
    "top_p": ("FP32",),
    "top_k": _INTEGER,
    "min_p": ("FP32",),
    "presence_penalty": ("FP32",),
    "frequency_penalty": ("FP32",),
    "seed": ("INT64", "INT32"),
}
_SIGNATURE: Final = {TEXT_INPUT: ("BYTES",), "max_tokens": _INTEGER, **SAMPLING}
_LENGTH: Final = struct.Struct("<I")
MODEL_VERSION: Final = "1"
_MAX_TENSORS: Final = 64
_MAX_DIGITS: Final = 19  # Python refuses to read a number of thousands of digits
Body = TypeVar("Body", bound=BaseModel)


class Tensor(BaseModel):
    """An input as the client sent it; binary data follow elsewhere, `binary_data_size` bytes of them."""

    model_config = ConfigDict(extra="ignore")
    name: str
    shape: Annotated[list[int], Field(fail_fast=True)]
    datatype: str
    parameters: dict[str, Any] = {}
    data: list[Any] | None = None


class _Output(BaseModel):
    model_config = ConfigDict(extra="ignore")
    name: str
    parameters: dict[str, Any] = {}


class InferRequest(BaseModel):
    """The JSON part of an infer request."""

    model_config = ConfigDict(extra="ignore")
    id: str = ""
    parameters: dict[str, Any] = {}
    inputs: Annotated[list[Tensor], Field(min_length=1, max_length=_MAX_TENSORS, fail_fast=True)]
    outputs: Annotated[list[_Output], Field(max_length=_MAX_TENSORS, fail_fast=True)] = []

    def wants_binary(self, only: str) -> bool:
        """Return whether the model's only output is wanted as raw bytes; RefusalError where another one is wanted."""
        for output in self.outputs:
            if output.name != only:
                raise bad(f"output {output.name!r} does not exist; there is {only!r}")
            return bool(output.parameters.get("binary_data", False))
        return bool(self.parameters.get("binary_data_output", False))


class _Fields(SamplingFields):
    """What may be asked besides the text, as inputs and as fields of a generate body."""

    model_config = ConfigDict(extra="forbid")
    text_input: str
    max_tokens: Annotated[int | None, Field(ge=1)] = None

    def query(self) -> Query:
        return Query((Message("user", self.text_input),), self.max_tokens, self.sampling())


class _GenerateRequest(_Fields):
    id: str = ""
    stream: bool | None = None  # the path says it; some clients do so as well
    stop: Annotated[tuple[str, ...], Field(max_length=MAX_STOPS, strict=False), AfterValidator(short)] = ()

    def query(self) -> Query:
        return replace(super().query(), stops=tuple(stop for stop in self.stop if stop))


@dataclass(frozen=True, slots=True)
class InferCall:
    """A parsed infer request and how its answer is wanted."""

    id: str
    query: Query
    binary: bool


def parse_infer(body: bytes, header_length: str | None) -> InferCall:
    """Return the call of a body whose JSON part has the given length (None: all of it).

    Raises:
        RefusalError: 400, with a sentence that names the tensor or field.
    """
    request, binary = parted(body, header_length)
    return InferCall(request.id, query_of(request.inputs, binary), request.wants_binary(TEXT_OUTPUT))


def parted(body: bytes, header_length: str | None) -> tuple[InferRequest, bytes]:
    """Return the JSON part of a body, which has the given length (None: all of it), and the binary part.

    Raises:
        RefusalError: 400, with a sentence that names the field.
    """
    split = _json_length(header_length, len(body))
    return _checked(InferRequest, _json(body[:split])), body[split:]


def query_of(tensors: list[Tensor], binary: bytes) -> Query:
    """Return the query of an infer request's tensors, whose binary data lie one after the other.

    Raises:
        RefusalError: 400, with a sentence that names the tensor.
    """
    values = _values(tensors, binary)
    if TEXT_INPUT not in values:
        raise bad(f"input {TEXT_INPUT!r} (BYTES, shape [1]) is missing")
    return _checked(_Fields, values).query()


def parse_generate(body: bytes) -> Query:
    """Return the query of a /generate or /generate_stream body.

    Raises:
        RefusalError: 400, with a sentence that names the field.
    """
    given = _json(body)
    # Triton takes them beside the text, the Open Inference Protocol's own extension among `parameters`.
    if isinstance(given, dict) and isinstance(given.get("parameters"), dict):
        given = {**given.pop("parameters"), **given}
    return _checked(_GenerateRequest, given).query()


def infer_answer(call: InferCall, model: str, text: str) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body of the answer to an infer call."""
    output: dict[str, Any] = {"name": TEXT_OUTPUT, "datatype": "BYTES", "shape": [1]}
    head = {"model_name": model, "model_version": MODEL_VERSION, "outputs": [output]}
    if call.id:
        head["id"] = call.id
    if not call.binary:
        output["data"] = [text]
        return [("content-type", "application/json")], orjson.dumps(head)
    encoded = binary_text(text)
    output["parameters"] = {"binary_data_size": len(encoded)}
    json_part = orjson.dumps(head)
    headers = [("content-type", "application/octet-stream"), (BINARY_HEADER, str(len(json_part)))]
    return headers, json_part + encoded


def binary_text(text: str) -> bytes:
    """Return a BYTES tensor of one element."""
    encoded = text.encode()
    return _LENGTH.pack(len(encoded)) + encoded


def generate_answer(model: str, text: str) -> bytes:
    """Return the body of a /generate answer; also the data of one /generate_stream event."""
    return orjson.dumps({"model_name": model, "model_version": MODEL_VERSION, TEXT_OUTPUT: text})


def server_metadata(version: str) -> bytes:
    """Return the body of GET /v2."""
    return orjson.dumps({"name": names.PART_OF, "version": version, "extensions": ["binary_tensor_data", "generate"]})


def model_description(model: str, platform: str) -> dict[str, Any]:
    """Return what a model takes and gives."""
    inputs = [{"name": name, "datatype": types[0], "shape": [1]} for name, types in _SIGNATURE.items()]
    outputs = [{"name": TEXT_OUTPUT, "datatype": "BYTES", "shape": [1]}]
    described = {"name": model, "versions": [MODEL_VERSION], "platform": platform}
    return {**described, "inputs": inputs, "outputs": outputs}


def fields(body: bytes) -> dict[str, Any]:
    """Return a body of JSON that may be empty.

    Raises:
        RefusalError: 400, it is no object.
    """
    given = _json(body) if body else {}
    if not isinstance(given, dict):
        raise bad("body: an object is expected")
    return given


def error_body(refusal: RefusalError) -> bytes:
    """Return the error in the protocol's shape."""
    return orjson.dumps({"error": refusal.message})


def bad(message: str) -> RefusalError:
    """Return the refusal of a request that says something wrong."""
    return RefusalError(400, message, code="invalid_value")


def _json(text: bytes) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise bad(f"the body is no JSON: {error}") from None


def _checked(kind: type[Body], given: Any) -> Body:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise bad(f"{'.'.join(str(part) for part in first['loc']) or 'body'}: {first['msg']}") from None


def _json_length(header: str | None, total: int) -> int:
    if header is None:
        return total
    if not (header.isascii() and header.isdigit() and len(header) <= _MAX_DIGITS and int(header) <= total):
        raise bad(f"{BINARY_HEADER}: {header[:_MAX_DIGITS]!r} is no length within a body of {total} bytes")
    return int(header)


def _values(tensors: list[Tensor], binary: bytes) -> dict[str, Any]:
    """Return every tensor's only element; binary data lie one after the other in the order of the tensors."""
    values: dict[str, Any] = {}
    offset = 0
    for tensor in tensors:
        _check(tensor)
        size = tensor.parameters.get("binary_data_size")
        if size is None:
            values[tensor.name] = _json_element(tensor)
            continue
        if not isinstance(size, int) or not 0 <= size <= len(binary) - offset:
            raise bad(f"input {tensor.name!r}: binary_data_size {size!r} goes beyond the body")
        values[tensor.name] = _binary_element(tensor, binary[offset : offset + size])
        offset += size
    return values


def _check(tensor: Tensor) -> None:
    allowed = _SIGNATURE.get(tensor.name)
    if allowed is None:
        raise bad(f"input {tensor.name!r} does not exist; there are {', '.join(_SIGNATURE)}")
    if tensor.datatype not in allowed:
        raise bad(f"input {tensor.name!r} has datatype {tensor.datatype}; {' or '.join(allowed)} is expected")
    if any(size != 1 for size in tensor.shape) or not tensor.shape:
        raise bad(f"input {tensor.name!r} has shape {tensor.shape}; [1] is expected")


def _json_element(tensor: Tensor) -> Any:
    element: Any = tensor.data
    for _ in tensor.shape:  # nested lists are allowed by the protocol: [["text"]] for shape [1, 1]
        if isinstance(element, list) and len(element) == 1:
            element = element[0]
    wanted = str if tensor.datatype == "BYTES" else (int, float) if tensor.datatype == "FP32" else int
    if not isinstance(element, wanted) or isinstance(element, bool):
        raise bad(f"input {tensor.name!r}: data must hold one {tensor.datatype} element")
    return element


def _binary_element(tensor: Tensor, data: bytes) -> Any:
    try:
        if tensor.datatype != "BYTES":
            return struct.unpack(_FORMATS[tensor.datatype], data)[0]
        (length,) = _LENGTH.unpack_from(data)
        if length != len(data) - _LENGTH.size:
            raise bad(f"input {tensor.name!r}: the element's length is {length}, {len(data) - 4} bytes follow")
        return data[_LENGTH.size :].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise bad(f"input {tensor.name!r}: {error}") from None
