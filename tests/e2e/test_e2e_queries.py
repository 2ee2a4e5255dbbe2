"""A real Triton in a restricted pod answers: directly, and through the gateway to the clients that people use."""

import json
import urllib.request
from typing import Any

import numpy as np
import openai
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from autoglm_api import names
from autoglm_shop.task import Kind, Query, demo_queries, score
from support.shops import NAME, Opener, Shop, pool

pytestmark = pytest.mark.e2e

QUERIES = demo_queries(11, 12)
SIMPLE = next(query for query in QUERIES if query.kind is Kind.SIMPLE)
COMPLEX = next(query for query in QUERIES if query.kind is Kind.COMPLEX)


@pytest.fixture(scope="module")
def shop(open_shop: Opener) -> Shop:
    return open_shop("both", pool("light", "Simple", 1, 1), pool("large", "Complex", 1, 1))


@pytest.fixture
def client(shop: Shop) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{shop.url}/v1", api_key="unused", max_retries=0, timeout=30)


def messages(query: Query) -> list[Any]:
    return [{"role": "user", "content": query.prompt}]


def test_a_restricted_worker_with_the_real_triton_answers_through_its_service(shop: Shop) -> None:
    (worker,) = shop.ready_pods(names.COMPONENT_WORKER, "light")
    slices = shop.get("endpointslices", "-l", f"{names.LABEL_POOL}=light")["items"]
    addresses = [address for one in slices for end in one["endpoints"] for address in end["addresses"]]
    assert addresses == [worker["status"]["podIP"]]
    body = json.dumps({"model": "glm-shop-light", "messages": messages(SIMPLE)}).encode()
    request = urllib.request.Request(f"http://{addresses[0]}:{names.WORKER_PORT}{names.PATH_CHAT}", body)
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert json.load(answer)["choices"][0]["message"]["content"]
    with urllib.request.urlopen(f"http://{addresses[0]}:{names.WORKER_ADMIN_PORT}/metrics", timeout=5) as answer:
        metrics = answer.read().decode()
    assert "nv_inference_request_success" in metrics  # written by Triton itself, passed through
    assert worker["spec"]["securityContext"]["runAsNonRoot"] is True
    assert worker["spec"]["automountServiceAccountToken"] is False


def test_the_gateways_image_has_compiled_code(shop: Shop) -> None:
    (gateway,) = shop.ready_pods(names.COMPONENT_GATEWAY)
    assert "compiled code" in shop.kubectl("logs", gateway["metadata"]["name"])


def test_the_openai_client_gets_most_answers_right_from_the_right_pool(client: openai.OpenAI) -> None:
    right = 0
    for query in QUERIES:
        raw = client.chat.completions.with_raw_response.create(model=NAME, messages=messages(query))
        right += score(query, raw.parse().choices[0].message.content or "")
        assert raw.headers[names.HEADER_POOL] in {"light", "large"}
        assert raw.headers[names.HEADER_REASON]
    assert right >= len(QUERIES) // 2


def test_a_stream_has_the_same_text_as_the_whole_answer(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model=NAME, messages=messages(COMPLEX), temperature=0)
    parts = client.chat.completions.create(model=NAME, messages=messages(COMPLEX), temperature=0, stream=True)
    chunks = [choice.delta.content or "" for part in parts for choice in part.choices]
    assert len(chunks) > 2
    assert "".join(chunks) == whole.choices[0].message.content


def test_a_pools_model_name_pins_the_pool(client: openai.OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="glm-shop-large", messages=messages(SIMPLE))
    assert raw.headers[names.HEADER_POOL] == "large"


@pytest.mark.parametrize(("wanted", "answers"), [("Simple", "light"), ("Complex", "large")])
def test_the_header_overrides_the_classifier(client: openai.OpenAI, wanted: str, answers: str) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model=NAME, messages=messages(SIMPLE), extra_headers={"X-AutoGLM-Class": wanted}
    )
    assert raw.headers[names.HEADER_POOL] == answers


def test_models_and_an_unknown_model(client: openai.OpenAI) -> None:
    assert {model.id for model in client.models.list()} == {NAME, "glm-shop-light", "glm-shop-large"}
    with pytest.raises(openai.NotFoundError) as refused:
        client.chat.completions.create(model="gpt-4", messages=messages(SIMPLE))
    assert refused.value.code == "model_not_found"


@pytest.mark.parametrize("binary", [True, False], ids=["binary", "json"])
def test_the_triton_client_gets_the_same_answer(shop: Shop, client: openai.OpenAI, *, binary: bool) -> None:
    host, port = shop.address
    triton = tritonclient.http.InferenceServerClient(f"{host}:{port}")
    text = tritonclient.http.InferInput("text_input", [1], "BYTES")
    text.set_data_from_numpy(np.array([SIMPLE.prompt.encode()], dtype=np.object_), binary_data=binary)
    assert triton.is_server_live()
    assert triton.is_model_ready("glm-shop-light")
    reply = triton.infer("glm-shop-light", [text]).as_numpy("text_output")
    whole = client.chat.completions.create(model="glm-shop-light", messages=messages(SIMPLE), temperature=0)
    assert reply[0].decode() == whole.choices[0].message.content
    triton.close()


def test_the_triton_client_is_told_of_an_unknown_model(shop: Shop) -> None:
    host, port = shop.address
    triton = tritonclient.http.InferenceServerClient(f"{host}:{port}")
    with pytest.raises(InferenceServerException, match="nothing-here"):
        triton.get_model_metadata("nothing-here")
    triton.close()


def test_a_workers_grpc_port_gives_the_same_answer_through_its_service(shop: Shop, client: openai.OpenAI) -> None:
    services = shop.get("services", "-l", f"{names.LABEL_POOL}=light")["items"]
    named = {port["name"]: port["port"] for service in services for port in service["spec"]["ports"]}
    assert named[names.PORT_NAME_GRPC] == names.WORKER_GRPC_PORT
    (worker,) = shop.ready_pods(names.COMPONENT_WORKER, "light")
    triton = tritonclient.grpc.InferenceServerClient(f"{worker['status']['podIP']}:{names.WORKER_GRPC_PORT}")
    text = tritonclient.grpc.InferInput("text_input", [1], "BYTES")
    text.set_data_from_numpy(np.array([SIMPLE.prompt.encode()], dtype=np.object_))
    assert triton.is_model_ready("glm-shop-light")
    reply = triton.infer("glm-shop-light", [text]).as_numpy("text_output")
    whole = client.chat.completions.create(model="glm-shop-light", messages=messages(SIMPLE), temperature=0)
    assert reply[0].decode() == whole.choices[0].message.content
    triton.close()
