import json

import pytest

from autoglm_demo.load import chat_body, streamed_text, whole_text
from autoglm_shop.task import demo_queries


def test_the_query_is_a_chat_completion_request() -> None:
    query = demo_queries(1, 1)[0]
    body = json.loads(chat_body("shop", query, stream=True))
    assert body == {"model": "shop", "messages": [{"role": "user", "content": query.prompt}], "stream": True}
    assert json.loads(chat_body("shop", query, max_tokens=9))["max_tokens"] == 9


@pytest.mark.parametrize(
    ("body", "text", "error"),
    [
        (b'{"choices": [{"message": {"content": "42 euros"}}]}', "42 euros", ""),
        (b'{"choices": []}', "", "unreadable answer: IndexError"),
        (b"<html>", "", "unreadable answer: JSONDecodeError"),
    ],
)
def test_text_of_a_json_answer(body: bytes, text: str, error: str) -> None:
    assert whole_text(body) == (text, error)


@pytest.mark.parametrize(
    ("events", "text", "error"),
    [
        (['{"choices": [{"delta": {"content": "a"}}]}', '{"choices": [{"delta": {}}]}', "[DONE]"], "a", ""),
        (['{"choices": [{"delta": {"content": "a"}}]}', '{"choices": [], "usage": {}}', "[DONE]"], "a", ""),
        (['{"choices": [{"delta": {"content": "a"}}]}'], "a", "the stream has no last event"),
        (['{"error": {"message": "replica lost"}}'], "", "error event: replica lost"),
        ([], "", "the stream has no last event"),
    ],
)
def test_text_of_a_stream(events: list[str], text: str, error: str) -> None:
    body = "".join(f"data: {event}\n\n" for event in events).encode()
    assert streamed_text(body) == (text, error)
