"""The Open Inference Protocol over gRPC: unmodified Triton clients, our process, the real Triton."""

import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import httpx
import numpy as np
import pytest
from google.protobuf import json_format
from tritonclient.grpc import (
    InferenceServerClient,
    InferenceServerException,
    InferInput,
    InferRequestedOutput,
    model_config_pb2,
)

from autoglm_api import names
from support.node_artifacts import SLOW_LAYERS, engine_spec, write_artifact
from support.node_process import NodeProcess, node_process, wait_for

CONCURRENCY = 2
LONG = 490
QUESTION = "What does the kettle cost?"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    directory = tmp_path_factory.mktemp("node")
    spec = engine_spec(write_artifact(directory / "model", SLOW_LAYERS), concurrency=CONCURRENCY, drain_seconds=20)
    with node_process(spec, directory / "run", "--propagation-seconds", "0") as running:
        running.wait_ready()
        yield running


@pytest.fixture
def client(node: NodeProcess) -> Iterator[InferenceServerClient]:
    with InferenceServerClient(node.grpc) as made:
        yield made


def inputs(tokens: int = 8, text: str = QUESTION) -> list[InferInput]:
    asked = InferInput("text_input", [1], "BYTES")
    asked.set_data_from_numpy(np.array([text.encode()], dtype=np.object_))
    limit = InferInput("max_tokens", [1], "INT32")
    limit.set_data_from_numpy(np.array([tokens], dtype=np.int32))
    return [asked, limit]


def over_http(node: NodeProcess, tokens: int = 8) -> str:
    body = {"text_input": QUESTION, "max_tokens": tokens}
    answer = httpx.post(f"{node.url}/v2/models/glm-test/generate", json=body, timeout=60)
    return str(answer.json()["text_output"])


@contextmanager
def stream(client: InferenceServerClient) -> Iterator["queue.Queue[tuple[Any, Any]]"]:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    try:
        yield answers
    finally:
        client.stop_stream(cancel_requests=True)


def idle(node: NodeProcess) -> bool:
    return node.metric(names.METRIC_ENGINE_RUNNING) == 0 and node.metric(names.METRIC_NODE_IN_FLIGHT) == 0


def test_the_server_says_what_it_is(client: InferenceServerClient) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert [client.is_model_ready(name) for name in ("glm-test", "shop-assistant", "other")] == [True, True, False]
    described = client.get_model_metadata("glm-test", as_json=True)
    assert "text_input" in {one["name"] for one in described["inputs"]}
    assert client.get_server_metadata().name == names.PART_OF


def test_tools_that_measure_are_told_what_may_be_sent_and_what_was_answered(client: InferenceServerClient) -> None:
    config = client.get_model_config("glm-test").config
    kinds = {one.name: (model_config_pb2.DataType.Name(one.data_type), one.optional) for one in config.input}
    assert (kinds["text_input"], kinds["max_tokens"]) == (("TYPE_STRING", False), ("TYPE_INT32", True))
    before = client.get_inference_statistics("glm-test").model_stats[0]
    client.infer("glm-test", inputs())
    with pytest.raises(InferenceServerException):
        client.infer("glm-test", inputs(text=""), outputs=[InferRequestedOutput("other")])
    after = client.get_inference_statistics("glm-test").model_stats[0]
    assert after.inference_count == before.inference_count + 1
    assert after.inference_stats.success.ns > before.inference_stats.success.ns
    assert after.inference_stats.fail.count == before.inference_stats.fail.count + 1
    with pytest.raises(InferenceServerException, match="does not exist here"):
        client.get_model_config("other")


def test_the_repository_is_told_and_stays_as_it_is(client: InferenceServerClient) -> None:
    listed = client.get_model_repository_index().models
    assert [(one.name, one.version, one.state) for one in listed] == [("glm-test", "1", "READY")]
    client.load_model("glm-test")
    client.load_model("glm-test", config=json_format.MessageToJson(client.get_model_config("glm-test").config))
    with pytest.raises(InferenceServerException, match="belongs to the operator") as refused:
        client.load_model("glm-test", config='{"max_batch_size": 8}')
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
    with pytest.raises(InferenceServerException, match="belongs to the operator"):
        client.unload_model("glm-test")
    with pytest.raises(InferenceServerException, match="does not exist here"):
        client.load_model("other")
    assert client.is_model_ready("glm-test")


def test_an_answer_is_that_of_http(node: NodeProcess, client: InferenceServerClient) -> None:
    answer = client.infer("glm-test", inputs(), request_id="r1")
    assert answer.as_numpy("text_output")[0].decode() == over_http(node)
    assert answer.get_response().id == "r1"


def test_a_stream_is_the_same_answer_in_pieces(node: NodeProcess, client: InferenceServerClient) -> None:
    texts: list[str] = []
    with stream(client) as answers:
        client.async_stream_infer("glm-test", inputs(60))
        while True:
            result, error = answers.get(timeout=30)
            assert error is None
            if result.get_response().parameters["triton_final_response"].bool_param:
                break
            texts.append(result.as_numpy("text_output")[0].decode())
    assert "".join(texts) == over_http(node, 60)
    assert len(texts) > 5


def test_one_bad_query_does_not_end_the_stream_of_the_others(client: InferenceServerClient) -> None:
    with stream(client) as answers:
        client.async_stream_infer("other", inputs())
        client.async_stream_infer("glm-test", inputs(1))
        assert "does not exist here" in str(answers.get(timeout=10)[1])
        assert answers.get(timeout=10)[1] is None


@pytest.mark.parametrize(
    ("model", "given", "code", "word"),
    [
        ("other", inputs(), grpc.StatusCode.NOT_FOUND, "other"),
        ("glm-test", inputs(0), grpc.StatusCode.INVALID_ARGUMENT, "max_tokens"),
        ("glm-test", inputs(text="kettle " * 600), grpc.StatusCode.INVALID_ARGUMENT, "tokens"),
        ("glm-test", inputs()[1:], grpc.StatusCode.INVALID_ARGUMENT, "text_input"),
    ],
)
def test_refusals_have_a_code_and_a_sentence(
    client: InferenceServerClient, model: str, given: list[InferInput], code: grpc.StatusCode, word: str
) -> None:
    with pytest.raises(InferenceServerException, match=word) as refused:
        client.infer(model, given)
    assert refused.value.status() == str(code)


@pytest.mark.parametrize(
    "given",
    [{"client_timeout": 0.4}, {"headers": {names.HEADER_DEADLINE: "400"}}, {"timeout": 400_000}],
    ids=["client", "header", "parameter"],
)
def test_the_deadline_is_kept_and_frees_the_slot(
    node: NodeProcess, client: InferenceServerClient, given: dict[str, Any]
) -> None:
    start = time.monotonic()
    with pytest.raises(InferenceServerException) as late:
        client.infer("glm-test", inputs(LONG), **given)
    assert late.value.status() == str(grpc.StatusCode.DEADLINE_EXCEEDED)
    assert time.monotonic() - start < 1.5
    wait_for(lambda: idle(node), 3, "idle engine")


def test_a_cancelled_stream_frees_the_slot(node: NodeProcess, client: InferenceServerClient) -> None:
    before = node.metric(names.METRIC_NODE_OUTPUT_TOKENS)
    with stream(client) as answers:
        client.async_stream_infer("glm-test", inputs(LONG))
        answers.get(timeout=10)
        assert node.metric(names.METRIC_NODE_IN_FLIGHT) == 1
    wait_for(lambda: idle(node), 3, "idle engine")
    assert node.metric(names.METRIC_NODE_OUTPUT_TOKENS) - before < LONG


def test_the_cap_is_that_of_all_protocols(node: NodeProcess, client: InferenceServerClient) -> None:
    calls = [client.async_infer("glm-test", inputs(LONG), lambda result, error: None) for _ in range(CONCURRENCY)]
    wait_for(lambda: node.metric(names.METRIC_NODE_IN_FLIGHT) == CONCURRENCY, 5, "full replica")
    with pytest.raises(InferenceServerException) as refused:
        client.infer("glm-test", inputs())
    assert refused.value.status() == str(grpc.StatusCode.RESOURCE_EXHAUSTED)
    for call in calls:
        call.cancel()
    wait_for(lambda: idle(node), 3, "idle engine")


# --- last, because it ends the node ------------------------------------------------------------------
def test_a_drain_finishes_calls_and_turns_newcomers_away(node: NodeProcess, client: InferenceServerClient) -> None:
    answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
    client.async_infer("glm-test", inputs(LONG), lambda result, error: answers.put((result, error)))
    wait_for(lambda: node.metric(names.METRIC_NODE_IN_FLIGHT) == 1, 5, "query in flight")
    node.process.terminate()
    wait_for(lambda: node.metric(names.METRIC_NODE_DRAINING) == 1, 5, "drain")
    time.sleep(0.2)
    with pytest.raises(InferenceServerException) as refused:
        client.infer("glm-test", inputs())
    assert refused.value.status() == str(grpc.StatusCode.UNAVAILABLE)
    result, error = answers.get(timeout=30)
    assert error is None
    assert result.as_numpy("text_output")[0]
    assert node.wait_exit() == 0
