"""A serving node: our process, the real Triton, the real engine, unmodified clients."""

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tritonclient.http import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from autoglm_api import names
from support.node_artifacts import SLOW_LAYERS, engine_spec, write_artifact
from support.node_process import NodeProcess, node_process, wait_for

CONCURRENCY = 4
LONG = 490  # tokens; seconds of work


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    directory = tmp_path_factory.mktemp("node")
    spec = engine_spec(write_artifact(directory / "model", SLOW_LAYERS), concurrency=CONCURRENCY, drain_seconds=2)
    with node_process(spec, directory / "run", "--propagation-seconds", "0") as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="module")
def client(node: NodeProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{node.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def body(tokens: int = 4, **changes: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "What does the kettle cost?"}]
    return {"model": "glm-test", "messages": messages, "max_tokens": tokens, **changes}


def ask(node: NodeProcess, tokens: int = 4, headers: dict[str, str] | None = None, **changes: Any) -> httpx.Response:
    return httpx.post(f"{node.url}{names.PATH_CHAT}", json=body(tokens, **changes), headers=headers, timeout=60)


def engine_is_idle(node: NodeProcess) -> bool:
    return node.metric("autoglm_engine_running") == 0 and node.metric(names.METRIC_NODE_IN_FLIGHT) == 0


# --- clients -----------------------------------------------------------------------------------------
def test_the_openai_client_gets_an_answer(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(**body(5))
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 5


def test_a_stream_is_the_same_answer_in_pieces(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(**body(40))
    stream = client.chat.completions.create(**body(40), stream=True, stream_options={"include_usage": True})
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert len(chunks) > 5
    assert chunks[-1].usage == whole.usage


def test_the_openai_client_lists_the_models(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {"glm-test", "shop-assistant"}


def test_the_triton_client_gets_an_answer(node: NodeProcess) -> None:
    text = InferInput("text_input", [1], "BYTES")
    text.set_data_from_numpy(np.array([b"What does the kettle cost?"], dtype=np.object_))
    tokens = InferInput("max_tokens", [1], "INT32")
    tokens.set_data_from_numpy(np.array([4], dtype=np.int32))
    with InferenceServerClient(node.url.removeprefix("http://")) as triton:
        assert triton.is_server_live()
        assert triton.is_server_ready()
        assert triton.is_model_ready("shop-assistant")
        assert triton.get_model_metadata("glm-test")["inputs"][0]["name"] == "text_input"
        answer = triton.infer("glm-test", [text, tokens]).as_numpy("text_output")[0]
    assert answer.decode() == ask(node).json()["choices"][0]["message"]["content"]


def test_the_repository_is_told_and_stays_as_it_is(node: NodeProcess) -> None:
    with InferenceServerClient(node.url.removeprefix("http://")) as triton:
        listed = {"name": "glm-test", "version": "1", "state": "READY"}
        assert triton.get_model_repository_index() == [listed]
        triton.load_model("glm-test")
        triton.load_model("glm-test", config=json.dumps(triton.get_model_config("glm-test")))
        for changes in ({"config": '{"max_batch_size": 8}'}, {"config": "{}", "files": {"file:1/model.onnx": b"AAAA"}}):
            with pytest.raises(InferenceServerException, match="belongs to the operator"):
                triton.load_model("glm-test", **changes)
        with pytest.raises(InferenceServerException, match="belongs to the operator"):
            triton.unload_model("glm-test")
        with pytest.raises(InferenceServerException, match="does not exist here"):
            triton.load_model("other")
        assert triton.is_model_ready("glm-test")


def test_what_was_answered_is_counted(node: NodeProcess) -> None:
    with InferenceServerClient(node.url.removeprefix("http://")) as triton:
        (before,) = triton.get_inference_statistics("glm-test")["model_stats"]
        ask(node)
        (after,) = triton.get_inference_statistics()["model_stats"]
    assert after["inference_count"] == before["inference_count"] + 1
    assert after["inference_stats"]["success"]["ns"] > before["inference_stats"]["success"]["ns"]


def test_generate_and_its_stream_agree(node: NodeProcess) -> None:
    asked = {"text_input": "hello", "max_tokens": 20}
    whole = httpx.post(f"{node.url}/v2/models/glm-test/generate", json=asked, timeout=30).json()["text_output"]
    streamed = httpx.post(f"{node.url}/v2/models/glm-test/generate_stream", json=asked, timeout=30).text
    events = [json.loads(line[len("data: ") :]) for line in streamed.splitlines() if line]
    assert "".join(event["text_output"] for event in events) == whole


def test_answers_carry_what_the_gateway_needs(node: NodeProcess) -> None:
    headers = ask(node).headers
    assert headers[names.HEADER_REVISION] == "7f2a91c3"
    assert int(headers[names.HEADER_PROMPT_TOKENS]) > 5
    assert 0 < float(headers[names.HEADER_CONFIDENCE]) <= 1


# --- refusals ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"model": "gpt-4"}, 404, "model_not_found"),
        ({"n": 9}, 400, "invalid_value"),
        ({"messages": [{"role": "user", "content": "kettle " * 600}]}, 400, "context_length_exceeded"),
        ({"messages": [{"role": "user", "content": "☕" * 9000}]}, 400, "context_length_exceeded"),
    ],
)
def test_refusals_are_openai_errors(node: NodeProcess, changes: dict[str, Any], status: int, code: str) -> None:
    answer = ask(node, **changes)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("GET", "/nothing", 404),
        ("GET", "/v2/models/other/ready", 404),
        ("POST", "/v2/models/glm-test/infer", 400),
        ("POST", "/v2/models/glm-test/load", 404),
        ("GET", "/v2/repository/models/glm-test/load", 405),
        ("GET", "/v2/repository/models/glm-test/ready", 404),
        ("GET", "/v2/models/other/config", 404),
        ("GET", "/v2/models/other/stats", 404),
    ],
)
def test_wrong_paths_and_methods(node: NodeProcess, method: str, path: str, status: int) -> None:
    assert httpx.request(method, f"{node.url}{path}").status_code == status


def test_the_cap_holds_and_is_counted(node: NodeProcess) -> None:
    before = node.metric(names.METRIC_NODE_REJECTED)
    with ExitStack() as streams:
        for _ in range(CONCURRENCY):
            stream = httpx.stream("POST", f"{node.url}{names.PATH_CHAT}", json=body(LONG, stream=True), timeout=30)
            assert streams.enter_context(stream).status_code == 200
        refused = ask(node)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert node.metric(names.METRIC_NODE_IN_FLIGHT) == CONCURRENCY
    assert node.metric(names.METRIC_NODE_REJECTED) == before + 1
    wait_for(lambda: engine_is_idle(node), 5, "idle engine")


def test_a_client_that_leaves_frees_the_engine(node: NodeProcess) -> None:
    before = node.metric(names.METRIC_NODE_OUTPUT_TOKENS)
    with httpx.stream("POST", f"{node.url}{names.PATH_CHAT}", json=body(LONG, stream=True), timeout=30) as stream:
        lines = stream.iter_lines()  # must stay alive: httpx closes the stream with its iterator
        next(lines)
        wait_for(lambda: node.metric("autoglm_engine_running") == 1, 2, "running query")
    wait_for(lambda: engine_is_idle(node), 2, "free slot")
    assert node.metric(names.METRIC_NODE_OUTPUT_TOKENS) - before < LONG


def test_the_deadline_is_kept_on_time(node: NodeProcess) -> None:
    start = time.monotonic()
    answer = ask(node, LONG, {names.HEADER_DEADLINE: "300"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (504, "deadline")
    assert time.monotonic() - start < 2
    wait_for(lambda: engine_is_idle(node), 2, "idle engine")


def test_a_deadline_within_a_stream_is_an_explicit_error(node: NodeProcess) -> None:
    text = ask(node, LONG, {names.HEADER_DEADLINE: "600"}, stream=True).text
    assert '"code":"deadline"' in text.splitlines()[-2]
    assert "[DONE]" not in text


# --- admin -------------------------------------------------------------------------------------------
def test_metrics_are_one_strict_page(node: NodeProcess) -> None:
    ask(node)
    page = httpx.get(f"{node.admin_url}{names.PATH_METRICS}").text
    families = [family.name for family in text_string_to_metric_families(page)]
    assert len(families) == len(set(families))
    assert {names.METRIC_NODE_START_SECONDS, "nv_inference_request_success", "autoglm_engine_running"} <= set(families)


def test_drain_wants_post(node: NodeProcess) -> None:
    assert httpx.get(f"{node.admin_url}{names.PATH_DRAIN}").status_code == 405
    assert httpx.get(f"{node.admin_url}{names.PATH_HEALTHZ}").status_code == 200


# --- last, because it replaces the engine ------------------------------------------------------------
def test_a_killed_engine_is_noticed_and_healed(node: NodeProcess) -> None:
    with ThreadPoolExecutor(1) as pool:
        caught = pool.submit(ask, node, LONG)
        wait_for(lambda: node.metric(names.METRIC_NODE_IN_FLIGHT) == 1, 5, "query in flight")
        node.stub().send_signal(signal.SIGKILL)
        noticed = wait_for(lambda: not node.is_ready(), 10, "notice of the dead engine")
        assert caught.result().status_code == 503
    away = ask(node)
    assert away.status_code == 200 or away.headers[names.HEADER_DRAINING] == "1"
    node.wait_ready()
    assert ask(node).status_code == 200
    assert noticed < 10
