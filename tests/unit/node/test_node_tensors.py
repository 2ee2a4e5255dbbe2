from typing import Any

import numpy as np
import pytest

from autoglm_api.spec import Backend
from autoglm_node import repository, tensors
from autoglm_node.query import Finish, Generation, Piece
from autoglm_node.sampling import Sampling
from support.node_artifacts import engine_spec

ASKED = Generation((5, 6, 7), max_tokens=9, sampling=Sampling(0.5, 3, 0.9, 5, 0.1, 0.2, 0.3))


def arrays(**values: Any) -> dict[str, Any]:
    return {name: np.asarray(value) for name, value in values.items()}


@pytest.mark.parametrize("backend", [one for one in Backend if one is not Backend.TENSORRT])
def test_what_is_sent_is_what_the_configuration_declares(backend: Backend, tmp_path: Any) -> None:
    config = repository.config_for(engine_spec(tmp_path, backend=backend, gpus=1), 1)
    declared = {one.name: one for one in config.input}
    sent = {one.name(): one for one in tensors.dialect_for(backend, [0]).write(ASKED)}
    for name, tensor in sent.items():
        assert (
            f"TYPE_{tensor.datatype()}"
            == declared[name]
            .DESCRIPTOR.fields_by_name["data_type"]
            .enum_type.values_by_number[declared[name].data_type]
            .name
        )
        assert len(tensor.shape()) == len(declared[name].dims) + (config.max_batch_size > 0)
    assert {name for name, one in declared.items() if not one.optional} <= set(sent)


def test_native_pieces() -> None:
    read = tensors.dialect_for(Backend.ONNX_RUNTIME, [0]).read
    assert read(arrays(token_ids=[4, 5], logprobs=[-1.0, -2.0], finish_reason=[2])) == Piece(
        (4, 5), (-1.0, -2.0), Finish.LENGTH
    )


def sent(backend: Backend, sampling: Sampling, top_logprobs: int = 0) -> dict[str, float]:
    kinds: dict[str, Any] = {"INT32": np.int32, "INT64": np.int64, "UINT64": np.uint64, "FP32": np.float32}
    written = tensors.dialect_for(backend, [0]).write(Generation((5,), 9, sampling, top_logprobs))
    return {
        one.name(): float(np.frombuffer(one._raw_content, kinds[one.datatype()])[0])
        for one in written
        if one.datatype() in kinds
    }


def test_the_cpu_engine_is_told_what_differs_from_greedy_only() -> None:
    greedy = sent(Backend.ONNX_RUNTIME, Sampling())
    assert set(greedy) == {"input_ids", "max_tokens"}
    told = sent(Backend.ONNX_RUNTIME, Sampling(0.5, 3, 0.75, 5, 0.25, -1, 2), 4)
    assert {name: told[name] for name in set(told) - set(greedy)} == {
        "temperature": 0.5,
        "seed": 3,
        "top_p": 0.75,
        "top_k": 5,
        "min_p": 0.25,
        "presence_penalty": -1,
        "frequency_penalty": 2,
        "top_logprobs": 4,
    }


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        (Sampling(), {"temperature": 1.0, "runtime_top_k": 1}),  # the backend takes no temperature of 0
        (Sampling(0.5), {"temperature": 0.5, "runtime_top_k": 0, "runtime_top_p": 1.0}),
        (Sampling(0.5, top_k=7, top_p=0.25), {"temperature": 0.5, "runtime_top_k": 7, "runtime_top_p": 0.25}),
        (Sampling(presence_penalty=1, frequency_penalty=-1), {"presence_penalty": 1, "frequency_penalty": -1}),
    ],
)
def test_tensorrt_llm_samples_when_a_temperature_is_given(sampling: Sampling, expected: dict[str, float]) -> None:
    told = sent(Backend.TENSORRT_LLM, sampling)
    assert {name: told[name] for name in expected} == expected


def test_alternatives_belong_to_their_tokens() -> None:
    read = tensors.dialect_for(Backend.ONNX_RUNTIME, [0]).read
    given = arrays(
        token_ids=[4, 5],
        logprobs=[-1, -2],
        finish_reason=[0],
        top_token_ids=[4, 6, 5, 7],
        top_logprobs=[-1, -3, -2, -4],
    )
    assert read(given).alternatives == (((4, -1), (6, -3)), ((5, -2), (7, -4)))
    assert read({**given, "token_ids": np.array([], dtype=int)}).alternatives == ()


@pytest.mark.parametrize(
    ("ids", "piece"),
    [
        ([[[4]]], Piece((4,), (-1.0,), Finish.NONE)),
        ([[[0]]], Piece((), (), Finish.STOP)),
        ([[[]]], Piece((), (), Finish.NONE)),
    ],
)
def test_tensorrt_llm_pieces(ids: Any, piece: Piece) -> None:
    read = tensors.dialect_for(Backend.TENSORRT_LLM, [0]).read
    given = np.asarray(ids, dtype=np.int32)
    assert read({"output_ids": given, "output_log_probs": np.full(given.shape, -1.0)}) == piece


def test_tensorrt_llm_without_scores() -> None:
    assert tensors.dialect_for(Backend.TENSORRT_LLM, [0]).read(arrays(output_ids=[[[4]]])).logprobs == (0.0,)
