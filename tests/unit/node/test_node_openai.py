import time
from typing import Any

import orjson
import pytest

from autoglm_node import openai
from autoglm_node.failure import RefusalError
from autoglm_node.query import Finish, Message, Query, Usage

COMPLETION = openai.Completion("chatcmpl-1", "shop-assistant", 1_700_000_000, "7f2a91c3")


def body(**changes: Any) -> bytes:
    return orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **changes})


@pytest.mark.parametrize(
    ("changes", "query"),
    [
        ({}, Query((Message("user", "hi"),))),
        ({"max_tokens": 5}, Query((Message("user", "hi"),), max_tokens=5)),
        ({"max_tokens": 5, "max_completion_tokens": 7}, Query((Message("user", "hi"),), max_tokens=7)),
        ({"temperature": 1}, Query((Message("user", "hi"),), temperature=1.0)),
        ({"seed": 3}, Query((Message("user", "hi"),), seed=3)),
        ({"seed": -1}, Query((Message("user", "hi"),), seed=2**63 - 1)),
        ({"stop": "x"}, Query((Message("user", "hi"),), stops=("x",))),
        ({"stop": ["x", "", "y"]}, Query((Message("user", "hi"),), stops=("x", "y"))),
        ({"stop": None, "n": 1, "tools": [], "top_p": 1.0}, Query((Message("user", "hi"),))),
        ({"user": "u", "metadata": {}, "something_new": 1}, Query((Message("user", "hi"),))),
        (
            {
                "messages": [
                    {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}
                ]
            },
            Query((Message("system", "ab"),)),
        ),
    ],
)
def test_honoured_fields(changes: dict[str, Any], query: Query) -> None:
    assert openai.parse(body(**changes)).query() == query


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"n": 2}, "n", "unsupported_parameter"),
        ({"tools": [{"type": "function"}]}, "tools", "unsupported_parameter"),
        ({"logprobs": True}, "logprobs", "unsupported_parameter"),
        ({"top_p": 0.5}, "top_p", "unsupported_parameter"),
        ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_parameter"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": "hi"}, "messages", "invalid_value"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role", "invalid_value"),
        ({"messages": [{"role": "user"}]}, "messages.0.content", "invalid_value"),
        ({"model": None}, "model", "invalid_value"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": "5"}, "max_tokens", "invalid_value"),
        ({"temperature": 3}, "temperature", "invalid_value"),
        ({"seed": 2**70}, "seed", "invalid_value"),
        ({"stream": "yes"}, "stream", "invalid_value"),
        ({"stop": "x" * (openai.MAX_STOP_CHARACTERS + 1)}, "stop", "invalid_value"),
        ({"stop": ["x" * (openai.MAX_STOP_CHARACTERS + 1)]}, "stop", "invalid_value"),
    ],
)
def test_refused_with_the_name_of_the_field(changes: dict[str, Any], param: str, code: str) -> None:
    raw = body(**changes) if changes != {"seed": 2**70} else body().replace(b'{"model"', b'{"seed":%d,"model"' % 2**70)
    with pytest.raises(RefusalError) as refused:
        openai.parse(raw)
    refusal = refused.value
    assert (refusal.status, refusal.param, refusal.code) == (400, param, code)
    assert param in refusal.message


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b"\xff", b'"text"'])
def test_a_body_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(RefusalError) as refused:
        openai.parse(raw)
    assert refused.value.status == 400


def test_a_whole_answer() -> None:
    answer = orjson.loads(COMPLETION.whole("42", Finish.STOP, Usage(7, 2)))
    (choice,) = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": "42", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert answer["system_fingerprint"] == "7f2a91c3"


def test_stream_events() -> None:
    events = [
        COMPLETION.opening(usage_follows=True),
        COMPLETION.piece("42", usage_follows=True),
        COMPLETION.closing(Finish.LENGTH, usage_follows=True),
        COMPLETION.usage(Usage(7, 2)),
    ]
    assert all(event.startswith(b"data: {") and event.endswith(b"}\n\n") for event in events)
    chunks = [orjson.loads(event[len(b"data: ") :]) for event in events]
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks[:3]] == ["", "42", None]
    assert chunks[2]["choices"][0]["finish_reason"] == "length"
    assert (chunks[3]["choices"], chunks[3]["usage"]["total_tokens"]) == ([], 9)
    assert all(chunk["usage"] is None for chunk in chunks[:3])


def test_without_usage_no_chunk_names_it() -> None:
    assert b"usage" not in COMPLETION.piece("x", usage_follows=False)


@pytest.mark.parametrize(
    ("status", "kind"), [(400, "invalid_request_error"), (429, "rate_limit_error"), (503, "server_error")]
)
def test_errors_say_their_kind(status: int, kind: str) -> None:
    written = orjson.loads(openai.error_body(RefusalError(status, "why", code="c", param="p")))
    assert written == {"error": {"message": "why", "type": kind, "param": "p", "code": "c"}}


def test_a_million_mistakes_cost_no_more_than_the_first() -> None:
    start = time.perf_counter()
    with pytest.raises(RefusalError, match="messages"):
        openai.parse(b'{"model": "m", "messages": [%b{}]}' % (b"{}," * 300_000))
    with pytest.raises(RefusalError, match="messages"):
        openai.parse(b'{"model": "m", "messages": [{"role": "user", "content": [%b{}]}]}' % (b"{}," * 300_000))
    assert time.perf_counter() - start < 1
