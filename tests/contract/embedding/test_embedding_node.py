"""A worker with a small encoder: unmodified clients over HTTP and gRPC, our process, the real Triton."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import httpx
import numpy as np
import openai
import pytest
import tritonclient.grpc as by_grpc
import tritonclient.http as by_http
from prometheus_client.parser import text_string_to_metric_families

from autoglm_api import names
from support.encoder_artifacts import HIDDEN, POSITIONS, encoder_spec, write_encoder
from support.node_process import NodeProcess, node_process, wait_for

TEXTS = ["the kettle", "a mug of tea and a lamp", "the blue lamp costs a mug"]
NOTICED_SECONDS = 10
HEALED_SECONDS = 30


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    directory = tmp_path_factory.mktemp("node")
    spec = encoder_spec(write_encoder(directory / "model"), drain_seconds=5, concurrency=8)
    with node_process(spec, directory / "run", "--propagation-seconds", "0") as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="module")
def client(node: NodeProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{node.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def vectors(client: openai.OpenAI, texts: Any, **more: Any) -> np.ndarray:
    answer = client.embeddings.create(model="encoder-test", input=texts, **more)
    return np.array([one.embedding for one in sorted(answer.data, key=lambda one: one.index)])


def test_before_it_was_ready_it_asked_itself_and_counts_nothing_of_it(node: NodeProcess) -> None:
    assert node.metric(names.METRIC_ENGINE_PROMPT_TOKENS) > POSITIONS, "the longest text was read"
    assert node.metric(names.METRIC_NODE_PROMPT_TOKENS) == 0


def test_the_openai_client_gets_the_same_vectors_in_every_form(client: openai.OpenAI) -> None:
    coded = vectors(client, TEXTS)  # what the client asks for by itself is base64
    assert coded.shape == (3, HIDDEN)
    assert np.allclose(np.linalg.norm(coded, axis=1), 1, atol=1e-5)
    assert np.allclose(vectors(client, TEXTS, encoding_format="float"), coded, atol=1e-6)
    assert np.allclose(np.concatenate([vectors(client, text) for text in TEXTS]), coded, atol=1e-5)
    assert np.allclose(vectors(client, [[2, 4, 5, 3]])[0], coded[0], atol=1e-5), "its tokens are the text"
    assert np.allclose(vectors(client, TEXTS, dimensions=HIDDEN), coded, atol=1e-6)


def test_usage_counts_every_text(client: openai.OpenAI) -> None:
    usage = client.embeddings.create(model="shop-assistant", input=["the kettle", "a mug"]).usage
    assert (usage.prompt_tokens, usage.total_tokens) == (8, 8)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input": "the " * POSITIONS}, "this model takes 64"),
        ({"input": [10**6]}, "tokens are numbers between 0 and 13"),
        ({"input": ""}, "at least 1 character"),
        ({"input": "a", "dimensions": 8}, "cannot be cut"),
    ],
)
def test_what_cannot_be_embedded_is_refused_in_words(client: openai.OpenAI, changes: Any, said: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.embeddings.create(model="encoder-test", **changes)
    assert said in refused.value.message


def test_another_model_and_another_work_are_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        client.embeddings.create(model="other", input="a")
    with pytest.raises(openai.BadRequestError, match="makes vectors; ask it at /v1/embeddings"):
        client.chat.completions.create(model="encoder-test", messages=[{"role": "user", "content": "a"}])


def inputs(kind: Any, texts: list[str]) -> list[Any]:
    given = kind.InferInput("text_input", [len(texts)], "BYTES")
    given.set_data_from_numpy(np.array([text.encode() for text in texts], dtype=np.object_))
    return [given]


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_http_client_gets_the_same_vectors(node: NodeProcess, client: openai.OpenAI, *, binary: bool) -> None:
    with by_http.InferenceServerClient(node.url.removeprefix("http://")) as triton:
        wanted = [by_http.InferRequestedOutput("embedding", binary_data=binary)]
        found = triton.infer("encoder-test", inputs(by_http, TEXTS), outputs=wanted).as_numpy("embedding")
        assert triton.get_model_metadata("encoder-test")["outputs"][0]["shape"] == [-1, HIDDEN]
    assert np.allclose(found, vectors(client, TEXTS), atol=1e-5)


def test_tritons_grpc_client_gets_the_same_vectors(node: NodeProcess, client: openai.OpenAI) -> None:
    with by_grpc.InferenceServerClient(node.grpc) as triton:
        assert triton.is_model_ready("encoder-test")
        found = triton.infer("encoder-test", inputs(by_grpc, TEXTS)).as_numpy("embedding")
        metadata = triton.get_model_metadata("encoder-test", as_json=True)
    assert np.allclose(found, vectors(client, TEXTS), atol=1e-5)
    assert metadata["outputs"][0]["shape"] == ["-1", str(HIDDEN)]


def test_a_grpc_stream_answers_each_query_and_survives_a_bad_one(node: NodeProcess) -> None:
    answers: list[tuple[Any, Any]] = []
    with by_grpc.InferenceServerClient(node.grpc) as triton:
        triton.start_stream(lambda result, error: answers.append((result, error)))
        for texts in (["the kettle"], ["the " * POSITIONS], TEXTS):
            triton.async_stream_infer("encoder-test", inputs(by_grpc, texts))
        wait_for(lambda: len(answers) == 3, 20, "answers")
        triton.stop_stream()
    (first, _), (_, error), (last, _) = answers
    assert first.get_response().parameters["triton_final_response"].bool_param
    assert "this model takes 64" in str(error)
    assert last.as_numpy("embedding").shape == (3, HIDDEN)


def test_a_grpc_deadline_and_an_unknown_model_have_their_codes(node: NodeProcess) -> None:
    with by_grpc.InferenceServerClient(node.grpc) as triton:
        with pytest.raises(by_grpc.InferenceServerException) as late:
            triton.infer("encoder-test", inputs(by_grpc, ["a"] * 2000), client_timeout=0.001)
        assert str(grpc.StatusCode.DEADLINE_EXCEEDED) in str(late.value.status())
        with pytest.raises(by_grpc.InferenceServerException) as unknown:
            triton.infer("other", inputs(by_grpc, ["a"]))
        assert str(grpc.StatusCode.NOT_FOUND) in str(unknown.value.status())


def test_many_queries_at_once_share_passes_with_little_padding(node: NodeProcess, client: openai.OpenAI) -> None:
    read, padded = node.metric(names.METRIC_ENGINE_PROMPT_TOKENS), node.metric(names.METRIC_ENGINE_PADDING_TOKENS)
    texts = [" ".join(["the"] * words) for words in (1, 2, 10, 11, 40, 42)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: vectors(client, texts), range(24)))
    assert all(np.allclose(answer, answers[0], atol=1e-5) for answer in answers)
    wait_for(lambda: node.metric(names.METRIC_ENGINE_PROMPT_TOKENS) >= read + 24 * 118, 10, "count of tokens")
    read = node.metric(names.METRIC_ENGINE_PROMPT_TOKENS) - read
    assert node.metric(names.METRIC_ENGINE_PADDING_TOKENS) - padded <= 0.15 * (read / 0.85)


def test_the_metrics_are_one_strict_page(node: NodeProcess) -> None:
    page = httpx.get(f"{node.admin_url}{names.PATH_METRICS}").text
    families = [family.name for family in text_string_to_metric_families(page)]
    assert len(set(families)) == len(families)
    assert "autoglm_engine_cached_tokens" not in families, "an encoder has no cache; absent, not 0"


def test_a_killed_engine_is_noticed_and_healed(node: NodeProcess, client: openai.OpenAI) -> None:
    os.kill(node.stub().pid, signal.SIGKILL)
    killed = time.monotonic()
    wait_for(lambda: not node.is_ready(), NOTICED_SECONDS, "notice")
    wait_for(node.is_ready, HEALED_SECONDS, "healed engine")
    assert vectors(client, TEXTS).shape == (3, HIDDEN)
    assert time.monotonic() - killed < NOTICED_SECONDS + HEALED_SECONDS
