"""What unmodified clients may ask of a worker: sampling, several replies, probabilities, bare prompts."""

import math
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from tritonclient.http import InferenceServerClient, InferInput

from autoglm_api import names
from autoglm_node.chat import Chat
from support.node_artifacts import engine_spec, write_artifact
from support.node_process import NodeProcess, node_process

QUESTION: list[Any] = [{"role": "user", "content": "What does the kettle cost?"}]


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Chat:
    return Chat.load(write_artifact(tmp_path_factory.mktemp("model") / "model"))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    directory = tmp_path_factory.mktemp("node")
    spec = engine_spec(write_artifact(directory / "model"), drain_seconds=2)
    with node_process(spec, directory / "run", "--propagation-seconds", "0") as running:
        running.wait_ready()
        yield running


@pytest.fixture(scope="module")
def client(node: NodeProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{node.url}/v1", api_key="none", max_retries=0) as made:
        yield made


def asked(client: openai.OpenAI, **changes: Any) -> Any:
    return client.chat.completions.create(model="glm-test", messages=QUESTION, **{"max_tokens": 12, **changes})


def text_of(client: openai.OpenAI, **changes: Any) -> str:
    return str(asked(client, **changes).choices[0].message.content)


# --- sampling ----------------------------------------------------------------------------------------
def test_the_seed_decides_a_drawn_reply(client: openai.OpenAI) -> None:
    first, again, other = (text_of(client, temperature=2.0, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("narrow", [{"top_p": 0.0}, {"extra_body": {"top_k": 1}}, {"extra_body": {"min_p": 1.0}}])
def test_narrowed_to_one_token_a_draw_is_greedy(client: openai.OpenAI, narrow: dict[str, Any]) -> None:
    assert text_of(client, temperature=2.0, seed=3, **narrow) == text_of(client)
    assert text_of(client, temperature=2.0, seed=3) != text_of(client)


def test_a_penalty_keeps_tokens_from_coming_again(client: openai.OpenAI) -> None:
    def repeated(**penalty: float) -> int:
        answer = asked(client, max_tokens=100, logprobs=True, **penalty)
        tokens = [token.token for token in answer.choices[0].logprobs.content]
        return len(tokens) - len(set(tokens))

    assert repeated(presence_penalty=2.0, frequency_penalty=2.0) < repeated()


def test_log_probabilities_name_the_greedy_token_first(client: openai.OpenAI) -> None:
    answer = asked(client, logprobs=True, top_logprobs=3)
    tokens = answer.choices[0].logprobs.content
    assert len(tokens) == answer.usage.completion_tokens == 12
    for token in tokens:
        assert [other.logprob for other in token.top_logprobs] == sorted(
            (other.logprob for other in token.top_logprobs), reverse=True
        )
        assert (token.top_logprobs[0].token, token.top_logprobs[0].logprob) == (token.token, token.logprob)
    assert "".join(token.token for token in tokens).strip() == answer.choices[0].message.content.strip()


def test_confidence_is_what_the_log_probabilities_say(node: NodeProcess) -> None:
    body = {"model": "glm-test", "messages": QUESTION, "max_tokens": 12, "logprobs": True}
    answer = httpx.post(f"{node.url}{names.PATH_CHAT}", json=body, timeout=30)
    scores = [token["logprob"] for token in answer.json()["choices"][0]["logprobs"]["content"]]
    confidence = math.exp(sum(scores) / len(scores))
    assert float(answer.headers[names.HEADER_CONFIDENCE]) == pytest.approx(confidence, abs=1e-3)


def test_several_replies_are_those_of_several_seeds(client: openai.OpenAI) -> None:
    answer = asked(client, n=3, temperature=2.0, seed=5)
    texts = [choice.message.content for choice in answer.choices]
    assert texts == [text_of(client, temperature=2.0, seed=seed) for seed in (5, 6, 7)]
    assert 12 < answer.usage.completion_tokens <= 36  # a draw may be the end of the reply
    assert answer.usage.prompt_tokens == asked(client).usage.prompt_tokens


def test_several_replies_as_a_stream(client: openai.OpenAI) -> None:
    whole = asked(client, n=2, temperature=2.0, seed=5)
    texts = ["", ""]
    ends: list[int] = []
    for chunk in asked(client, n=2, temperature=2.0, seed=5, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            ends += [choice.index] if choice.finish_reason else []
    assert texts == [choice.message.content for choice in whole.choices]
    assert ends == [0, 1]


def test_a_stop_text_ends_the_reply_before_it(client: openai.OpenAI) -> None:
    whole = text_of(client)
    stop = whole[4:7]
    answer = asked(client, stop=[stop]).choices[0]
    assert (answer.message.content, answer.finish_reason) == (whole[: whole.index(stop)], "stop")


# --- bare prompts ------------------------------------------------------------------------------------
def test_a_prompt_is_text_or_its_tokens(client: openai.OpenAI, chat: Chat) -> None:
    ids = chat.text_ids("the kettle")
    by_text = client.completions.create(model="glm-test", prompt="the kettle", max_tokens=9)
    by_ids = client.completions.create(model="glm-test", prompt=ids, max_tokens=9)
    assert by_text.choices[0].text == by_ids.choices[0].text
    assert by_text.usage is not None
    assert (by_text.usage.prompt_tokens, by_text.usage.completion_tokens) == (len(ids), 9)


def test_a_completion_as_a_stream_with_scores(client: openai.OpenAI) -> None:
    given: dict[str, Any] = {"model": "glm-test", "prompt": "the kettle", "max_tokens": 9, "logprobs": 2}
    whole = client.completions.create(**given).choices[0]
    chunks = [chunk.choices[0] for chunk in client.completions.create(**given, stream=True)]
    assert "".join(chunk.text for chunk in chunks) == whole.text
    scored = [chunk.logprobs for chunk in chunks if chunk.logprobs]
    assert whole.logprobs is not None
    for field in ("tokens", "token_logprobs", "text_offset"):
        assert [value for one in scored for value in getattr(one, field)] == getattr(whole.logprobs, field)
    assert chunks[-1].finish_reason == "length"


@pytest.mark.parametrize(
    ("changes", "param"),
    [
        ({"prompt": "a", "echo": True}, "echo"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [10**6]}, "prompt"),
        ({"prompt": ["a", "b"]}, "prompt"),
    ],
)
def test_refused_prompts_name_the_field(client: openai.OpenAI, changes: dict[str, Any], param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.completions.create(model="glm-test", **changes)
    assert refused.value.param == param
    assert param in str(refused.value)


def test_a_model_that_writes_text_makes_no_embeddings(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="writes text; ask an Embedding model for vectors"):
        client.embeddings.create(model="glm-test", input="the kettle")


# --- Open Inference Protocol -------------------------------------------------------------------------
def scalar(name: str, datatype: str, value: Any) -> InferInput:
    kinds: dict[str, Any] = {"BYTES": np.object_, "INT32": np.int32, "INT64": np.int64, "FP32": np.float32}
    made = InferInput(name, [1], datatype)
    made.set_data_from_numpy(np.array([value], dtype=kinds[datatype]))
    return made


def test_the_triton_client_samples_like_the_openai_client(node: NodeProcess, client: openai.OpenAI) -> None:
    inputs = [
        scalar("text_input", "BYTES", QUESTION[0]["content"].encode()),
        scalar("max_tokens", "INT32", 12),
        scalar("temperature", "FP32", 2.0),
        scalar("top_p", "FP32", 0.5),
        scalar("seed", "INT64", 11),
    ]
    with InferenceServerClient(node.url.removeprefix("http://")) as triton:
        described = {one["name"] for one in triton.get_model_metadata("glm-test")["inputs"]}
        answer = triton.infer("glm-test", inputs).as_numpy("text_output")[0].decode()
    assert {one.name() for one in inputs} <= described
    assert answer == text_of(client, temperature=2.0, top_p=0.5, seed=11)


@pytest.mark.parametrize("place", ["beside", "parameters"])
def test_generate_takes_the_same_parameters(node: NodeProcess, client: openai.OpenAI, place: str) -> None:
    parameters = {"max_tokens": 12, "temperature": 2.0, "seed": 4}
    more = parameters if place == "beside" else {"parameters": parameters}
    body = {"text_input": QUESTION[0]["content"], **more}
    answer = httpx.post(f"{node.url}/v2/models/glm-test/generate", json=body, timeout=30)
    assert answer.json()["text_output"] == text_of(client, temperature=2.0, seed=4)


def test_generate_refuses_what_it_does_not_know(node: NodeProcess) -> None:
    body = {"text_input": "hi", "bad_words": ["x"]}
    answer = httpx.post(f"{node.url}/v2/models/glm-test/generate", json=body, timeout=30)
    assert answer.status_code == 400
    assert "bad_words" in answer.json()["error"]
