import time
from typing import Any

import orjson
import pytest

from autoglm_node import openai
from autoglm_node.failure import RefusalError
from autoglm_node.openai_answers import ChatAnswer, Choice, Frame, TextAnswer
from autoglm_node.query import Finish, Message, Query, Score, Usage
from autoglm_node.sampling import Sampling

FRAME = Frame("chatcmpl-1", 1_700_000_000, "shop-assistant", "7f2a91c3")
COMPLETION = ChatAnswer(FRAME)
SCORES = [Score("4", -0.5, (("4", -0.5), ("\ufffd", -1.5))), Score("2", -0.25)]


def body(**changes: Any) -> bytes:
    return orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **changes})


PARTS = [{"type": "text", "text": "a"}] * (openai.MAX_PARTS // 2 + 1)


@pytest.mark.parametrize(
    ("changes", "query"),
    [
        ({}, Query((Message("user", "hi"),))),
        ({"max_tokens": 5}, Query((Message("user", "hi"),), max_tokens=5)),
        ({"max_tokens": 5, "max_completion_tokens": 7}, Query((Message("user", "hi"),), max_tokens=7)),
        ({"temperature": 1}, Query((Message("user", "hi"),), sampling=Sampling(1.0))),
        ({"seed": 3}, Query((Message("user", "hi"),), sampling=Sampling(seed=3))),
        ({"seed": -1}, Query((Message("user", "hi"),), sampling=Sampling(seed=2**63 - 1))),
        ({"stop": "x"}, Query((Message("user", "hi"),), stops=("x",))),
        ({"stop": ["x", "", "y"]}, Query((Message("user", "hi"),), stops=("x", "y"))),
        ({"n": 3}, Query((Message("user", "hi"),), replies=3)),
        ({"logprobs": True}, Query((Message("user", "hi"),), top_logprobs=0)),
        ({"logprobs": True, "top_logprobs": 2}, Query((Message("user", "hi"),), top_logprobs=2)),
        (
            {"top_p": 0, "top_k": -1, "min_p": 0.1, "presence_penalty": -2, "frequency_penalty": 2},
            Query((Message("user", "hi"),), sampling=Sampling(0, 0, 0, 0, 0.1, -2, 2)),
        ),
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
        ({"n": 9}, "n", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools", "unsupported_parameter"),
        ({"top_logprobs": 3}, "body", "invalid_value"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "invalid_value"),
        ({"top_p": 1.1}, "top_p", "invalid_value"),
        ({"presence_penalty": 3}, "presence_penalty", "invalid_value"),
        ({"logit_bias": {"1": 2}}, "logit_bias", "unsupported_parameter"),
        ({"response_format": {"type": "json_object"}}, "response_format", "unsupported_parameter"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": [{"role": "user", "content": "a"}] * (openai.MAX_TURNS + 1)}, "messages", "invalid_value"),
        ({"messages": [{"role": "user", "content": PARTS}] * 2}, "messages", "invalid_value"),
        ({f"field_{number}": 1 for number in range(openai.MAX_FIELDS)}, "body", "invalid_value"),
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
    answer = orjson.loads(COMPLETION.whole([Choice("42", Finish.STOP)], Usage(7, 2)))
    (choice,) = answer["choices"]
    assert choice["message"] == {"role": "assistant", "content": "42", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert answer["system_fingerprint"] == "7f2a91c3"


def test_stream_events() -> None:
    answer = ChatAnswer(FRAME._replace(usage_follows=True))
    events = [answer.opening(0), answer.piece(0, "42"), answer.closing(0, Finish.LENGTH), answer.usage(Usage(7, 2))]
    assert all(event.startswith(b"data: {") and event.endswith(b"}\n\n") for event in events)
    chunks = [orjson.loads(event[len(b"data: ") :]) for event in events]
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks[:3]] == ["", "42", None]
    assert chunks[2]["choices"][0]["finish_reason"] == "length"
    assert (chunks[3]["choices"], chunks[3]["usage"]["total_tokens"]) == ([], 9)
    assert all(chunk["usage"] is None for chunk in chunks[:3])


def test_without_usage_no_chunk_names_it() -> None:
    assert b"usage" not in COMPLETION.piece(0, "x")


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


def test_scores_of_a_chat_answer() -> None:
    answer = orjson.loads(COMPLETION.whole([Choice("42", Finish.STOP, SCORES), Choice("", Finish.STOP)], Usage(7, 2)))
    first, second = answer["choices"][0]["logprobs"]["content"]
    assert (first["token"], first["logprob"], first["bytes"]) == ("4", -0.5, [52])
    assert [(other["token"], other["bytes"]) for other in first["top_logprobs"]] == [("4", [52]), ("\ufffd", None)]
    assert (second["token"], second["top_logprobs"]) == ("2", [])
    assert (answer["choices"][1]["index"], answer["choices"][1]["logprobs"]) == (1, None)


def test_scores_of_a_text_answer_go_on_where_the_last_piece_ended() -> None:
    answer = TextAnswer(FRAME)
    pieces = [answer.piece(0, "42", SCORES), answer.piece(1, "4", SCORES[:1]), answer.piece(0, "4", SCORES[:1])]
    logprobs = [orjson.loads(piece[len("data: ") :])["choices"][0]["logprobs"] for piece in pieces]
    assert [one["text_offset"] for one in logprobs] == [[0, 1], [0], [2]]
    assert (logprobs[0]["tokens"], logprobs[0]["token_logprobs"]) == (["4", "2"], [-0.5, -0.25])
    assert logprobs[2]["top_logprobs"] == [{"4": -0.5, "\ufffd": -1.5}]


@pytest.mark.parametrize(
    ("changes", "query"),
    [
        ({"prompt": "hi"}, Query(prompt="hi")),
        ({"prompt": ["hi"]}, Query(prompt="hi")),
        ({"prompt": [1, 2]}, Query(prompt=(1, 2))),
        ({"prompt": [[1, 2]], "max_tokens": 3}, Query(prompt=(1, 2), max_tokens=3)),
        ({"prompt": "hi", "logprobs": 2, "n": 2}, Query(prompt="hi", top_logprobs=2, replies=2)),
        ({"prompt": "hi", "echo": False, "best_of": 1, "suffix": ""}, Query(prompt="hi")),
    ],
)
def test_prompts_of_completions(changes: dict[str, Any], query: Query) -> None:
    assert openai.parse_completion(orjson.dumps({"model": "m", **changes})).query() == query


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, "invalid_value"),
        ({"prompt": ["a", "b"]}, "invalid_value"),
        ({"prompt": [-1]}, "invalid_value"),
        ({"prompt": [1] * (openai.MAX_TOKENS + 1)}, "invalid_value"),
        ({"prompt": "a", "logprobs": 6}, "invalid_value"),
        ({"prompt": "a", "echo": True}, "unsupported_parameter"),
        ({"prompt": "a", "suffix": "b"}, "unsupported_parameter"),
        ({"prompt": "a", "best_of": 2}, "unsupported_parameter"),
    ],
)
def test_refused_completions(changes: dict[str, Any], code: str) -> None:
    with pytest.raises(RefusalError) as refused:
        openai.parse_completion(orjson.dumps({"model": "m", **changes}))
    assert (refused.value.status, refused.value.code) == (400, code)
