import json
import math
import struct
import time
from typing import Any

import numpy as np
import orjson
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult

from autoglm_node import inference_protocol as oip
from autoglm_node.failure import RefusalError
from autoglm_node.query import Message, Query
from autoglm_node.sampling import Sampling


def tensor(name: str, datatype: str, array: Any, *, binary: bool = True) -> InferInput:
    made = InferInput(name, list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def text(value: str, *, binary: bool = True) -> InferInput:
    return tensor("text_input", "BYTES", np.array([value.encode()], dtype=np.object_), binary=binary)


def call(*inputs: InferInput, **more: Any) -> oip.InferCall:
    body, json_length = InferenceServerClient.generate_request_body(list(inputs), **more)
    return oip.parse_infer(body, None if json_length is None else str(json_length))


@pytest.mark.parametrize("binary", [True, False])
def test_what_tritonclient_writes_is_read(*, binary: bool) -> None:
    inputs = [
        text("你好 price?", binary=binary),
        tensor("max_tokens", "INT32", np.array([5], dtype=np.int32), binary=binary),
        tensor("temperature", "FP32", np.array([0.5], dtype=np.float32), binary=binary),
    ]
    assert call(*inputs).query == Query((Message("user", "你好 price?"),), 5, Sampling(0.5))


@pytest.mark.parametrize(
    ("outputs", "binary"),
    [
        (None, True),
        ([InferRequestedOutput("text_output", binary_data=True)], True),
        ([InferRequestedOutput("text_output", binary_data=False)], False),
    ],
)
def test_what_we_write_tritonclient_reads(outputs: Any, *, binary: bool) -> None:
    parsed = call(text("hi"), outputs=outputs, request_id="r1")
    headers, body = oip.infer_answer(parsed, "glm", "42 ☕")
    length = dict(headers).get(oip.BINARY_HEADER)
    assert (length is not None) == binary
    result = InferResult.from_response_body(body, header_length=int(length) if length else None)
    assert result.as_numpy("text_output").tolist() == (["42 ☕".encode()] if binary else ["42 ☕"])
    assert result.get_response()["id"] == "r1"


def infer_body(**changes: Any) -> bytes:
    one = {"name": "text_input", "shape": [1], "datatype": "BYTES", "data": ["hi"], **changes}
    return json.dumps({"inputs": [one]}).encode()


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (b"{", "no JSON"),
        (b"[]", "body"),
        (b'{"inputs": []}', "inputs"),
        (infer_body(name="prompt"), "'prompt' does not exist; there are text_input"),
        (infer_body(datatype="INT32"), "BYTES is expected"),
        (infer_body(shape=[2], data=["a", "b"]), "[1] is expected"),
        (infer_body(shape=[]), "[1] is expected"),
        (infer_body(data=[7]), "one BYTES element"),
        (infer_body(data=None), "one BYTES element"),
        (infer_body(parameters={"binary_data_size": 5}), "beyond the body"),
        (infer_body(parameters={"binary_data_size": -1}), "beyond the body"),
    ],
)
def test_bad_infer_bodies_get_a_sentence(body: bytes, sentence: str) -> None:
    with pytest.raises(RefusalError) as refused:
        oip.parse_infer(body, None)
    assert refused.value.status == 400
    assert sentence in refused.value.message


@pytest.mark.parametrize("binary", [b"", b"\x01", struct.pack("<I", 9) + b"hi", struct.pack("<I", 2) + b"\xff\xfe"])
def test_bad_binary_elements_get_a_sentence(binary: bytes) -> None:
    head = infer_body(parameters={"binary_data_size": len(binary)})
    with pytest.raises(RefusalError, match="'text_input'"):
        oip.parse_infer(head + binary, str(len(head)))


@pytest.mark.parametrize("length", ["-1", "x", "99999", "", "٣", "9" * 5000])
def test_bad_header_lengths_get_a_sentence(length: str) -> None:
    with pytest.raises(RefusalError, match="is no length"):
        oip.parse_infer(infer_body(), length)


def test_an_unknown_output_is_refused() -> None:
    with pytest.raises(RefusalError, match="'logits' does not exist"):
        call(text("hi"), outputs=[InferRequestedOutput("logits")])


def test_generate() -> None:
    assert oip.parse_generate(b'{"text_input": "hi", "max_tokens": 3}') == Query((Message("user", "hi"),), 3)
    with pytest.raises(RefusalError, match="text_input"):
        oip.parse_generate(b"{}")


@pytest.mark.parametrize(
    ("more", "query"),
    [
        ({"top_p": 0.5, "seed": 2}, Query((Message("user", "hi"),), sampling=Sampling(seed=2, top_p=0.5))),
        ({"parameters": {"top_k": 3}}, Query((Message("user", "hi"),), sampling=Sampling(top_k=3))),
        ({"parameters": {"max_tokens": 3}, "max_tokens": 4}, Query((Message("user", "hi"),), 4)),
        ({"stop": ["x", ""], "id": "1", "stream": True}, Query((Message("user", "hi"),), stops=("x",))),
    ],
)
def test_parameters_of_generate(more: dict[str, Any], query: Query) -> None:
    assert oip.parse_generate(orjson.dumps({"text_input": "hi", **more})) == query


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"bad_words": []}, "bad_words"),
        ({"parameters": {"best_of": 2}}, "best_of"),
        ({"parameters": 3}, "parameters"),
        ({"stop": "x"}, "stop"),
        ({"stop": ["x"] * 5}, "stop"),
    ],
)
def test_unknown_parameters_of_generate_are_refused(more: dict[str, Any], name: str) -> None:
    with pytest.raises(RefusalError, match=name):
        oip.parse_generate(orjson.dumps({"text_input": "hi", **more}))


def test_a_million_mistakes_cost_no_more_than_the_first() -> None:
    start = time.perf_counter()
    with pytest.raises(RefusalError, match="inputs"):
        oip.parse_infer(b'{"inputs": [%b{}]}' % (b"{}," * 300_000), None)
    assert time.perf_counter() - start < 1


@pytest.mark.parametrize("temperature", [-1.0, 2.5, math.inf, math.nan])
def test_temperatures_are_those_of_openai(temperature: float) -> None:
    binary = struct.pack("<f", temperature)
    tensors = [
        {"name": "temperature", "datatype": "FP32", "shape": [1], "parameters": {"binary_data_size": 4}},
        {"name": "text_input", "datatype": "BYTES", "shape": [1], "data": ["hi"]},
    ]
    head = orjson.dumps({"inputs": tensors})
    with pytest.raises(RefusalError, match="temperature"):
        oip.parse_infer(head + binary, str(len(head)))


def test_more_tensors_than_any_model_takes_are_refused_before_they_are_read() -> None:
    tensors = [{"name": "text_input", "shape": [1], "datatype": "BYTES", "data": ["a"]}] * 65
    with pytest.raises(RefusalError, match="inputs: List should have at most 64 items"):
        oip.parse_infer(orjson.dumps({"inputs": tensors}), None)
