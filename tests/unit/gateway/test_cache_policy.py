from typing import Any

import orjson
import pytest

from autoglm_gateway.cache.policy import MAX_ANSWER_BYTES, Ask, Bypass, answer_tokens, ask_of

MESSAGES = [{"role": "user", "content": "Where is my parcel?"}]
JSON = "application/json"
EVENTS = "text/event-stream"


def chat(**fields: Any) -> bytes:
    return orjson.dumps({"model": "shop", "messages": MESSAGES, "temperature": 0} | fields)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (chat(temperature=0.7), Bypass.SAMPLED),
        (chat(temperature=None), Bypass.SAMPLED),
        (chat(temperature=False), Bypass.SAMPLED),
        (orjson.dumps({"model": "shop", "messages": MESSAGES}), Bypass.SAMPLED),
        (chat(tools=[{"type": "function"}]), Bypass.TOOLS),
        (chat(functions=[{"name": "f"}]), Bypass.TOOLS),
        (chat(n=2), Bypass.CHOICES),
        (chat(n=[1]), Bypass.CHOICES),
        (chat(messages=[{"role": "user", "content": [{"type": "image_url"}]}]), Bypass.CONTENT),
        (chat(messages=[{"role": "assistant", "content": "", "tool_calls": []}]), Bypass.CONTENT),
        (chat(messages=["hi"]), Bypass.CONTENT),
        (chat(stream="yes"), Bypass.MALFORMED),
        (b'{"temperature": 0', Bypass.MALFORMED),
        (b'["temperature"]', Bypass.MALFORMED),
        (chat(user="x" * 65536), Bypass.TOO_LARGE),
    ],
)
def test_what_must_not_come_from_the_cache(body: bytes, why: Bypass) -> None:
    assert ask_of(body) is why


@pytest.mark.parametrize("fields", [{}, {"temperature": 0.0}, {"n": 1}, {"tools": []}, {"stream": False}])
def test_what_may_come_from_the_cache(fields: dict[str, Any]) -> None:
    assert isinstance(ask_of(chat(**fields)), Ask)


def test_a_client_may_allow_a_sampled_answer_to_be_kept_but_no_tools() -> None:
    assert isinstance(ask_of(chat(temperature=1), opt_in=True), Ask)
    assert ask_of(chat(temperature=1, tools=[{}]), opt_in=True) is Bypass.TOOLS


@pytest.mark.parametrize(
    ("header", "max_age"),
    [
        ("", float("inf")),
        ("max-age=30", 30),
        ("No-Cache", -1),
        ("max-age=0", -1),
        ("no-cache, max-age=30", -1),
        ("max-age=x", float("inf")),
    ],
)
def test_cache_control_says_how_old_an_answer_may_be(header: str, max_age: float) -> None:
    ask = ask_of(chat(), [header])
    assert isinstance(ask, Ask)
    assert ask.max_age == max_age


def test_no_store_is_obeyed_wherever_it_stands() -> None:
    assert ask_of(chat(), ["max-age=5", "foo, NO-STORE"]) is Bypass.NO_STORE


def answer(reason: str | None = "stop", **fields: Any) -> bytes:
    choices = [{"index": 0, "message": {"content": "hi"}, "finish_reason": reason}]
    return orjson.dumps({"choices": choices, "usage": {"completion_tokens": 7}} | fields)


def event(text: str = "", reason: str | None = None, **fields: Any) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": reason}
    return b"data: " + orjson.dumps({"choices": [choice]} | fields) + b"\n\n"


DONE = b"data: [DONE]\n\n"
STREAM = event("a") + event("b") + event(reason="stop")


@pytest.mark.parametrize(
    ("body", "kind", "tokens"),
    [
        (answer(), JSON, 7),
        (answer(usage=None), JSON, 0),
        (STREAM + DONE, EVENTS, 2),
        (STREAM + event(choices=[], usage={"completion_tokens": 9}) + DONE, EVENTS, 9),
        (b": comment\n\n" + STREAM + DONE, EVENTS, 2),
    ],
)
def test_whole_answers_may_be_kept(body: bytes, kind: str, tokens: int) -> None:
    assert answer_tokens(200, kind, body, stream=kind is EVENTS) == tokens


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (answer("length"), JSON),
        (answer(None), JSON),
        (answer(choices=[]), JSON),
        (answer(choices=[{"finish_reason": "stop"}] * 2), JSON),
        (answer(error={}), JSON),
        (b"", JSON),
        (b"{", JSON),
        (answer(x="y" * MAX_ANSWER_BYTES), JSON),
        (STREAM, EVENTS),  # cut off
        (event("a") + DONE, EVENTS),  # nobody said why it stopped
        (event("a") + event(reason="length") + DONE, EVENTS),
        (STREAM + b'data: {"error": {}}\n\n' + DONE, EVENTS),
        (STREAM + b"\n\ndata: {broken\n\n" + DONE, EVENTS),
        (STREAM + b"event: error\n\n" + DONE, EVENTS),
        (STREAM + STREAM + DONE, EVENTS),
        (DONE, EVENTS),
        (b"", EVENTS),
    ],
)
def test_what_is_no_whole_good_answer_is_never_kept(body: bytes, kind: str) -> None:
    assert answer_tokens(200, kind, body, stream=kind is EVENTS) is None


def test_errors_and_surprising_kinds_are_not_kept() -> None:
    assert answer_tokens(500, JSON, answer(), stream=False) is None
    assert answer_tokens(200, EVENTS, STREAM + DONE, stream=False) is None
    assert answer_tokens(200, JSON, answer(), stream=True) is None
