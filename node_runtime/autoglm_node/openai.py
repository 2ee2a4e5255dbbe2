"""The OpenAI chat-completions protocol: bodies to queries, replies to bodies and stream events. Pure.

Honoured: model, messages (text), max_tokens, max_completion_tokens, temperature, seed, stop, stream, stream_options.
Absent temperature means 0 (greedy). What would change the answer and is not implemented is refused with 400 (REFUSED);
what only labels or bills a query (user, metadata, store, service_tier, ...) and unknown fields are ignored.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from autoglm_node.failure import RefusalError
from autoglm_node.query import Finish, Message, Query, Usage

_KINDS: Final = {429: "rate_limit_error"}
_FINISH: Final = {Finish.STOP: "stop", Finish.LENGTH: "length"}
DONE: Final = b"data: [DONE]\n\n"
MAX_STOPS: Final = 4
MAX_STOP_CHARACTERS: Final = 1000  # each is compared with every piece of the reply
_SEED_MASK: Final = 2**63 - 1  # the engine takes no negative seeds

# Field -> whether its value asks for nothing.
REFUSED: Final[dict[str, Callable[[Any], bool]]] = {
    "n": lambda value: value == 1,
    "tools": lambda value: not value,
    "functions": lambda value: not value,
    "tool_choice": lambda value: value in ("none", "auto"),
    "function_call": lambda value: value in ("none", "auto"),
    "logprobs": lambda value: not value,
    "top_logprobs": lambda value: not value,
    "logit_bias": lambda value: not value,
    "top_p": lambda value: value == 1,
    "frequency_penalty": lambda value: value == 0,
    "presence_penalty": lambda value: value == 0,
    "response_format": lambda value: value == {"type": "text"},
    "modalities": lambda value: value == ["text"],
    "audio": lambda value: not value,
    "prediction": lambda value: not value,
    "web_search_options": lambda value: value is None,
}


def _short(stops: str | list[str] | None) -> str | list[str] | None:
    if any(len(stop) > MAX_STOP_CHARACTERS for stop in ([stops] if isinstance(stops, str) else stops or ())):
        raise ValueError(f"a stop text has at most {MAX_STOP_CHARACTERS} characters")
    return stops


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["text"]
    text: str


class _Turn(BaseModel):
    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[_Part], Field(fail_fast=True)]

    def message(self) -> Message:
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        # "developer" is OpenAI's newer word for the system role.
        return Message("system" if self.role == "developer" else self.role, text)


class _StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")
    include_usage: bool = False


class ChatRequest(BaseModel):
    """The honoured part of a request body."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    # One mistake is enough: listing a million of them would take seconds.
    messages: Annotated[list[_Turn], Field(min_length=1, fail_fast=True)]
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    seed: Annotated[int | None, Field(ge=-(2**63), lt=2**63)] = None
    stop: Annotated[str | Annotated[list[str], Field(max_length=MAX_STOPS)] | None, AfterValidator(_short)] = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None

    def query(self) -> Query:
        """Return what the engine is asked."""
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Query(
            messages=tuple(turn.message() for turn in self.messages),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            temperature=self.temperature or 0.0,
            seed=(self.seed or 0) & _SEED_MASK,
            stops=tuple(stop for stop in stops if stop),
        )

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage


def parse(body: bytes) -> ChatRequest:
    """Return the request of a body.

    Raises:
        RefusalError: 400, with a sentence that names the field.
    """
    try:
        request = ChatRequest.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise RefusalError(400, f"the body is no JSON: {error}", code="invalid_json") from None
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"]) or "body"
        raise RefusalError(400, f"{param}: {first['msg']}", code="invalid_value", param=param) from None
    for name, value in (request.model_extra or {}).items():
        asks_for_nothing = REFUSED.get(name)
        if value is not None and asks_for_nothing is not None and not asks_for_nothing(value):
            message = f"{name}: this server does not implement it; leave it out"
            raise RefusalError(400, message, code="unsupported_parameter", param=name)
    return request


def error_body(refusal: RefusalError) -> bytes:
    """Return the error in the shape that OpenAI's clients read."""
    kind = _KINDS.get(refusal.status, "invalid_request_error" if refusal.status < 500 else "server_error")  # noqa: PLR2004 - HTTP's own boundary
    error = {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code}
    return orjson.dumps({"error": error})


class Completion:
    """Writes the answer to one request, whole or as stream events."""

    def __init__(self, completion_id: str, model: str, created: int, revision: str) -> None:
        """Take what every part of the answer repeats; `created` is Unix time in seconds."""
        self._frame = {"id": completion_id, "created": created, "model": model, "system_fingerprint": revision}

    def whole(self, text: str, finish: Finish, usage: Usage) -> bytes:
        """Return the body of an answer that is sent at once."""
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH[finish]}
        return orjson.dumps(
            {**self._frame, "object": "chat.completion", "choices": [choice], "usage": _usage(usage)},
        )

    def opening(self, *, usage_follows: bool) -> bytes:
        """Return the first event of a stream."""
        return self._chunk({"role": "assistant", "content": ""}, None, usage_follows=usage_follows)

    def piece(self, text: str, *, usage_follows: bool) -> bytes:
        """Return the event of one piece of text."""
        return self._chunk({"content": text}, None, usage_follows=usage_follows)

    def closing(self, finish: Finish, *, usage_follows: bool) -> bytes:
        """Return the event that says why the reply ended."""
        return self._chunk({}, _FINISH[finish], usage_follows=usage_follows)

    def usage(self, usage: Usage) -> bytes:
        """Return the event with the token counts."""
        return _event({**self._frame, "object": "chat.completion.chunk", "choices": [], "usage": _usage(usage)})

    def _chunk(self, delta: dict[str, str], finish: str | None, *, usage_follows: bool) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = {**self._frame, "object": "chat.completion.chunk", "choices": [choice]}
        return _event({**chunk, "usage": None} if usage_follows else chunk)


def models(listed: tuple[str, ...], created: int) -> bytes:
    """Return the body of /v1/models."""
    entries = [{"id": name, "object": "model", "created": created, "owned_by": "autoglm"} for name in listed]
    return orjson.dumps({"object": "list", "data": entries})


def _event(payload: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.prompt_tokens + usage.output_tokens,
    }
