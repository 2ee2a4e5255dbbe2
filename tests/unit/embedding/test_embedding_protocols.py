"""Bodies to queries and vectors to bodies, by OpenAI's way and by the Open Inference Protocol."""

import base64
from typing import Any

import numpy as np
import orjson
import pytest

from autoglm_node.embedding import inference_protocol as oip
from autoglm_node.embedding import openai
from autoglm_node.embedding.query import Embedded
from autoglm_node.failure import RefusalError
from autoglm_node.inference_protocol import Tensor, parted

VECTORS = np.array([[0.5, -0.25], [1, 0]], dtype=np.float32)


def body(**fields: Any) -> bytes:
    return orjson.dumps({"model": "m", **fields})


@pytest.mark.parametrize(
    ("given", "texts"),
    [
        ("a lamp", ("a lamp",)),
        (["a", "b"], ("a", "b")),
        ([4, 5], ((4, 5),)),
        ([[4, 5], [6]], ((4, 5), (6,))),
        (["a", [6]], ("a", (6,))),
    ],
)
def test_every_form_of_input(given: Any, texts: tuple[Any, ...]) -> None:
    assert openai.parse(body(input=given)).query().texts == texts


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": [[]]}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [-1]}, "input"),
        ({"input": [1.5]}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"input": ["a"] * (openai.MAX_TEXTS + 1)}, "input"),
        ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RefusalError) as refused:
        openai.parse(body(**fields))
    assert (refused.value.status, str(refused.value.param).split(".")[0]) == (400, param)


def test_a_body_that_is_no_json() -> None:
    with pytest.raises(RefusalError, match="no JSON"):
        openai.parse(b"{")


def test_vectors_as_numbers_and_as_base64() -> None:
    embedded = Embedded(VECTORS, 7)
    plain = orjson.loads(openai.answer(openai.parse(body(input="a")), embedded))
    coded = orjson.loads(openai.answer(openai.parse(body(input="a", encoding_format="base64")), embedded))
    assert [one["embedding"] for one in plain["data"]] == VECTORS.tolist()
    assert [one["index"] for one in plain["data"]] == [0, 1]
    assert plain["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    read = [np.frombuffer(base64.b64decode(one["embedding"]), dtype="<f4").tolist() for one in coded["data"]]
    assert read == VECTORS.tolist()


def raw(*texts: bytes) -> bytes:
    return b"".join(len(text).to_bytes(4, "little") + text for text in texts)


@pytest.mark.parametrize(("shape", "data"), [([2], ["a", "b"]), ([2, 1], [["a"], ["b"]]), ([2, 1], ["a", "b"])])
def test_texts_as_json(shape: list[int], data: list[Any]) -> None:
    assert oip.query_of([Tensor(name="text_input", shape=shape, datatype="BYTES", data=data)], b"").texts == ("a", "b")


def test_texts_as_binary() -> None:
    content = raw(b"a lamp", "Lämpchen".encode())
    told = {"binary_data_size": len(content)}
    tensor = Tensor(name="text_input", shape=[2], datatype="BYTES", parameters=told)
    assert oip.query_of([tensor], content).texts == ("a lamp", "Lämpchen")


@pytest.mark.parametrize(
    ("tensor", "binary", "words"),
    [
        ({"name": "other", "datatype": "BYTES", "shape": [1], "data": ["a"]}, b"", "there is one input, 'text_input'"),
        ({"datatype": "INT32", "shape": [1], "data": [1]}, b"", "there is one input"),
        ({"shape": [2], "data": ["a"]}, b"", "has shape [2] and 1 elements"),
        ({"shape": [0], "data": []}, b"", "has shape [0] and 0 elements"),
        ({"shape": [1], "data": [""]}, b"", "every element is a text"),
        ({"shape": [1], "data": [5]}, b"", "every element is a text"),
        ({"shape": [1], "parameters": {"binary_data_size": 9}}, raw(b"a"), "is not what the body has"),
        ({"shape": [1], "parameters": {"binary_data_size": 4}}, b"\x09\0\0\0", "goes beyond the body"),
        ({"shape": [1], "parameters": {"binary_data_size": 2}}, b"ab", "requires a buffer"),
        ({"shape": [1], "parameters": {"binary_data_size": 5}}, raw(b"\xff"), "invalid start byte"),
    ],
)
def test_a_bad_tensor_is_refused_in_words(tensor: dict[str, Any], binary: bytes, words: str) -> None:
    with pytest.raises(RefusalError) as refused:
        oip.query_of([Tensor(**{"name": "text_input", "datatype": "BYTES", **tensor})], binary)
    assert words in refused.value.message


def test_two_tensors_are_one_too_many() -> None:
    one = Tensor(name="text_input", shape=[1], datatype="BYTES", data=["a"])
    with pytest.raises(RefusalError, match="there is one input"):
        oip.query_of([one, one], b"")


def test_vectors_as_json_and_as_binary() -> None:
    _, plain = oip.infer_answer("q", "m", VECTORS, binary=False)
    told = orjson.loads(plain)
    assert (told["id"], told["outputs"][0]["shape"], told["outputs"][0]["data"]) == ("q", [2, 2], [0.5, -0.25, 1, 0])
    headers, coded = oip.infer_answer("", "m", VECTORS, binary=True)
    length = int(dict(headers)["inference-header-content-length"])
    assert "id" not in orjson.loads(coded[:length])
    assert np.frombuffer(coded[length:], dtype="<f4").tolist() == VECTORS.ravel().tolist()


def test_only_the_vectors_can_be_asked_for() -> None:
    told = {"inputs": [{"name": "text_input", "shape": [1], "datatype": "BYTES"}], "outputs": [{"name": "text_output"}]}
    request, _ = parted(orjson.dumps(told), None)
    with pytest.raises(RefusalError, match="there is 'embedding'"):
        request.wants_binary(oip.VECTOR_OUTPUT)


def test_a_model_says_how_long_its_vectors_are() -> None:
    assert oip.model_description("m", "p", 384)["outputs"] == [
        {"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}
    ]
