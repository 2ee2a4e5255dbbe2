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


def test_what_is_sent_is_what_the_configuration_declares(tmp_path: Any) -> None:
    config = repository.config_for(engine_spec(tmp_path, backend=Backend.TENSORRT_LLM, gpus=1), 1)
    declared = {one.name: one for one in config.input}
    sent = {one.name(): one for one in tensors.write(ASKED, 0)}
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


def sent(sampling: Sampling) -> dict[str, float]:
    kinds: dict[str, Any] = {"INT32": np.int32, "UINT64": np.uint64, "FP32": np.float32}
    written = tensors.write(Generation((5,), 9, sampling), 0)
    return {
        one.name(): float(np.frombuffer(one._raw_content, kinds[one.datatype()])[0])
        for one in written
        if one.datatype() in kinds
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
    told = sent(sampling)
    assert {name: told[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("ids", "piece"),
    [
        ([[[4]]], Piece((4,), (-1.0,), Finish.NONE)),
        ([[[0]]], Piece((), (), Finish.STOP)),
        ([[[]]], Piece((), (), Finish.NONE)),
    ],
)
def test_tensorrt_llm_pieces(ids: Any, piece: Piece) -> None:
    given = np.asarray(ids, dtype=np.int32)
    assert tensors.read({"output_ids": given, "output_log_probs": np.full(given.shape, -1.0)}, {0}) == piece


def test_tensorrt_llm_without_scores() -> None:
    assert tensors.read(arrays(output_ids=[[[4]]]), {0}).logprobs == (0.0,)
