"""What may be answered from the cache and what may be kept in it. Pure.

Nothing is kept that another run could answer differently, unless the client asks for it; nothing that is not a whole,
good answer is ever kept.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson

from autoglm_gateway.json_body import json_of

MAX_ANSWER_BYTES: Final = 65_536
MAX_QUERY_BYTES: Final = 65_536
_NUMBERS: Final = frozenset({int, float})  # `False` is none
_OK: Final = 200
_ANY_AGE: Final = float("inf")
_STOP: Final = "stop"
_DATA: Final = b"data:"
_DONE: Final = b"[DONE]"
# A field that is there and not empty makes the answer depend on more than the text, or be more than text.
_MORE_THAN_TEXT: Final = frozenset({"tools", "functions", "audio", "web_search_options", "modalities"})


class Bypass(StrEnum):
    """Why a query has nothing to do with the cache."""

    SAMPLED = "sampled"  # no `temperature: 0`
    TOOLS = "tools"
    CONTENT = "content"  # images, audio
    CHOICES = "choices"  # n is not 1
    NO_STORE = "no_store"  # the client said so
    TOO_LARGE = "too_large"
    REVISION = "revision"  # a rollout, or no replica: no single revision answers
    MALFORMED = "malformed"  # the replica will say what is wrong


class Ask(NamedTuple):
    """A query whose answer may be kept; `max_age` is the oldest answer in seconds that the client takes."""

    body: dict[str, Any]
    stream: bool
    max_age: float = _ANY_AGE


def ask_of(body: bytes, cache_control: Sequence[str] = (), *, opt_in: bool = False) -> Ask | Bypass:
    """Tell whether the answer to a chat request may come from the cache.

    | request                                     | answer                                 |
    |---------------------------------------------|----------------------------------------|
    | temperature 0, text only, one choice        | Ask                                    |
    | another temperature or none, with `opt_in`  | Ask                                    |
    | the same without                            | SAMPLED                                |
    | tools or functions / images / n > 1         | TOOLS / CONTENT / CHOICES              |
    | Cache-Control: no-store                     | NO_STORE                               |
    | Cache-Control: no-cache                     | Ask, but no kept answer is young enough |
    | more than 64 KiB                            | TOO_LARGE                              |
    """
    wishes = _directives(cache_control)
    if "no-store" in wishes:
        return Bypass.NO_STORE
    if len(body) > MAX_QUERY_BYTES:
        return Bypass.TOO_LARGE
    parsed = _object(body, json_of)  # the protocol has read it already
    if parsed is None:
        return Bypass.MALFORMED
    return _refused(parsed, opt_in=opt_in) or Ask(parsed, parsed.get("stream") is True, _max_age(wishes))


def answer_tokens(status: int, content_type: str, body: bytes, *, stream: bool) -> int | None:
    """Return the output tokens of an answer that may be kept (0: it does not say), None for any other."""
    if status != _OK or not body or len(body) > MAX_ANSWER_BYTES:
        return None
    if stream:
        return _stream_tokens(body) if content_type.startswith("text/event-stream") else None
    answer = _object(body) if content_type.startswith("application/json") else None
    if answer is None or "error" in answer or _finish_reasons(answer) != [_STOP]:
        return None
    return _completion_tokens(answer)


def _refused(body: dict[str, Any], *, opt_in: bool) -> Bypass | None:
    if not isinstance(body.get("stream", False), bool):
        return Bypass.MALFORMED
    if not _MORE_THAN_TEXT.isdisjoint(body) and any(body.get(name) for name in _MORE_THAN_TEXT):
        return Bypass.TOOLS
    if body.get("n", 1) not in (1, None):
        return Bypass.CHOICES
    messages = body.get("messages")
    if not isinstance(messages, list) or not all(map(_only_text, messages)):
        return Bypass.CONTENT
    temperature = body.get("temperature")
    exact = type(temperature) in _NUMBERS and temperature == 0
    return None if exact or opt_in else Bypass.SAMPLED


def _only_text(message: object) -> bool:
    if not isinstance(message, dict):
        return False
    content = message.get("content")
    if isinstance(content, list):
        return all(isinstance(part, dict) and part.get("type") == "text" for part in content)
    return isinstance(content, str) and "tool_calls" not in message


def _directives(values: Sequence[str]) -> dict[str, str]:
    if not values:
        return {}
    parts = (part.strip().lower().partition("=") for value in values for part in value.split(","))
    return {name.strip(): value.strip() for name, _, value in parts}


def _max_age(wishes: dict[str, str]) -> float:
    if not wishes:
        return _ANY_AGE
    seconds = wishes.get("max-age", "")
    if "no-cache" in wishes or seconds == "0":
        return -1.0
    return float(seconds) if seconds.isascii() and seconds.isdigit() else _ANY_AGE


def _object(text: bytes, load: Callable[[bytes], object] = orjson.loads) -> dict[str, Any] | None:
    try:
        parsed = load(text)
    except orjson.JSONDecodeError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _stream_tokens(body: bytes) -> int | None:
    """Return the tokens of a whole stream of one choice that stopped by itself; None for any other."""
    *events, last = list(_data_of(body)) or [b""]
    if last != _DONE:
        return None
    reasons: list[object] = []
    texts = reported = 0
    for event in events:
        piece = _object(event)
        if piece is None or "error" in piece:
            return None
        found = _finish_reasons(piece)
        reasons += [reason for reason in found if reason is not None]
        texts += _has_text(piece)
        reported = _completion_tokens(piece) or reported
    return (reported or texts) if reasons == [_STOP] else None


def _data_of(body: bytes) -> Iterator[bytes]:
    for line in body.splitlines():
        if line.startswith(_DATA):
            yield line[len(_DATA) :].strip()
        elif line and not line.startswith(b":"):
            yield b""  # `event:`, `id:` and garbage are nothing that we know; the empty text is no JSON


def _finish_reasons(answer: dict[str, Any]) -> list[object]:
    choices = answer.get("choices")
    if not isinstance(choices, list):
        return []
    return [choice.get("finish_reason") if isinstance(choice, dict) else "?" for choice in choices]


def _has_text(piece: dict[str, Any]) -> bool:
    choices = piece.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    delta = first.get("delta") if isinstance(first, dict) else None
    return isinstance(delta, dict) and bool(delta.get("content"))


def _completion_tokens(answer: dict[str, Any]) -> int:
    usage = answer.get("usage")
    tokens = usage.get("completion_tokens") if isinstance(usage, dict) else 0
    return tokens if isinstance(tokens, int) and tokens > 0 else 0
