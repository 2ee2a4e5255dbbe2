"""Answers of OpenAI's chat completions and completions, whole or as stream events. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import orjson

from autoglm_node.query import Finish, Score, Usage

_FINISH: Final = {Finish.STOP: "stop", Finish.LENGTH: "length"}
DONE: Final = b"data: [DONE]\n\n"
_PART_OF_A_CHARACTER: Final = "\ufffd"


class Frame(NamedTuple):
    """What every part of an answer repeats; `created` is Unix time in seconds.

    In a stream at whose end the usage follows every chunk names it.
    """

    id: str
    created: int
    model: str
    revision: str
    usage_follows: bool = False


class Choice(NamedTuple):
    """One complete reply; `scores` None: nobody asked."""

    text: str
    finish: Finish
    scores: Sequence[Score] | None = None


class ChatAnswer:
    """Writes the answer to one request of /v1/chat/completions."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def whole(self, choices: Sequence[Choice], usage: Usage) -> bytes:
        """Return the body of an answer that is sent at once."""
        listed = [
            {
                "index": index,
                "message": {"role": "assistant", "content": choice.text, "refusal": None},
                "logprobs": _chat_logprobs(choice.scores),
                "finish_reason": _FINISH[choice.finish],
            }
            for index, choice in enumerate(choices)
        ]
        return orjson.dumps({**_head(self._frame, "chat.completion"), "choices": listed, "usage": _usage(usage)})

    def opening(self, index: int) -> bytes:
        """Return the first event of a reply."""
        return self._chunk(index, {"role": "assistant", "content": ""})

    def piece(self, index: int, text: str, scores: Sequence[Score] | None = None) -> bytes:
        """Return the event of one piece of text."""
        return self._chunk(index, {"content": text}, logprobs=_chat_logprobs(scores))

    def closing(self, index: int, finish: Finish) -> bytes:
        """Return the event that says why a reply ended."""
        return self._chunk(index, {}, finish=_FINISH[finish])

    def usage(self, usage: Usage) -> bytes:
        """Return the event with the token counts."""
        return _event({**_head(self._frame, "chat.completion.chunk"), "choices": [], "usage": _usage(usage)})

    def _chunk(self, index: int, delta: Mapping[str, str], *, logprobs: Any = None, finish: str | None = None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return _chunk(self._frame, "chat.completion.chunk", choice)


class TextAnswer:
    """Writes the answer to one request of /v1/completions."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame
        self._offsets: defaultdict[int, int] = defaultdict(int)

    def whole(self, choices: Sequence[Choice], usage: Usage) -> bytes:
        """Return the body of an answer that is sent at once."""
        listed = [
            self._choice(index, choice.text, choice.scores, _FINISH[choice.finish])
            for index, choice in enumerate(choices)
        ]
        return orjson.dumps({**_head(self._frame, "text_completion"), "choices": listed, "usage": _usage(usage)})

    def opening(self, index: int) -> bytes:
        """Return nothing: a text has no speaker."""
        del index
        return b""

    def piece(self, index: int, text: str, scores: Sequence[Score] | None = None) -> bytes:
        """Return the event of one piece of text."""
        return _chunk(self._frame, "text_completion", self._choice(index, text, scores, None))

    def closing(self, index: int, finish: Finish) -> bytes:
        """Return the event that says why a reply ended."""
        return _chunk(self._frame, "text_completion", self._choice(index, "", None, _FINISH[finish]))

    def usage(self, usage: Usage) -> bytes:
        """Return the event with the token counts."""
        return _event({**_head(self._frame, "text_completion"), "choices": [], "usage": _usage(usage)})

    def _choice(self, index: int, text: str, scores: Sequence[Score] | None, finish: str | None) -> dict[str, Any]:
        logprobs = None if scores is None else self._logprobs(index, scores)
        return {"index": index, "text": text, "logprobs": logprobs, "finish_reason": finish}

    def _logprobs(self, index: int, scores: Sequence[Score]) -> dict[str, Any]:
        offsets = []
        for score in scores:
            offsets.append(self._offsets[index])
            self._offsets[index] += len(score.text)
        return {
            "tokens": [score.text for score in scores],
            "token_logprobs": [score.logprob for score in scores],
            "top_logprobs": [dict(score.likeliest) for score in scores],
            "text_offset": offsets,
        }


Answer = ChatAnswer | TextAnswer


def models(listed: tuple[str, ...], created: int) -> bytes:
    """Return the body of /v1/models."""
    entries = [{"id": name, "object": "model", "created": created, "owned_by": "autoglm"} for name in listed]
    return orjson.dumps({"object": "list", "data": entries})


def _chat_logprobs(scores: Sequence[Score] | None) -> dict[str, Any] | None:
    if scores is None:
        return None
    content = [
        {**_token(score.text, score.logprob), "top_logprobs": [_token(*other) for other in score.likeliest]}
        for score in scores
    ]
    return {"content": content, "refusal": None}


def _token(text: str, logprob: float) -> dict[str, Any]:
    encoded = None if _PART_OF_A_CHARACTER in text else list(text.encode())
    return {"token": text, "logprob": logprob, "bytes": encoded}


def _head(frame: Frame, kind: str) -> dict[str, Any]:
    named = {"id": frame.id, "created": frame.created, "model": frame.model, "system_fingerprint": frame.revision}
    return {**named, "object": kind}


def _chunk(frame: Frame, kind: str, choice: Mapping[str, Any]) -> bytes:
    chunk = {**_head(frame, kind), "choices": [choice]}
    return _event({**chunk, "usage": None} if frame.usage_follows else chunk)


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
    }
