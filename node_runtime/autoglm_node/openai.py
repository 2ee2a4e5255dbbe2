"""OpenAI's chat completions and completions: bodies to queries; see openai_answers for the way back. Pure.

Honoured: model, messages or prompt (text), max_tokens, max_completion_tokens, temperature, top_p, top_k, min_p,
presence_penalty, frequency_penalty, seed, stop, n, logprobs, top_logprobs, stream, stream_options. Absent temperature
means 0 (greedy). What would change the answer and is not implemented is refused with 400 (REFUSED); what only labels
or bills a query (user, metadata, store, service_tier, ...) and unknown fields are ignored.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self, TypeVar

import orjson
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from autoglm_node.failure import RefusalError
from autoglm_node.query import Message, Query
from autoglm_node.sampling import Sampling

_KINDS: Final = {429: "rate_limit_error"}
MAX_STOPS: Final = 4
MAX_STOP_CHARACTERS: Final = 1000  # each is compared with every piece of the reply
MAX_REPLIES: Final = 8
# A body is read in one go, while which no deadline is kept: hundreds of thousands of small things would take half a
# second, and no model can do anything with so many.
MAX_FIELDS: Final = 256
MAX_TURNS: Final = 4096
MAX_PARTS: Final = 4096  # of all turns together
MAX_TOKENS: Final = 1 << 18
_SEED_MASK: Final = 2**63 - 1  # the engine takes no negative seeds
Given = TypeVar("Given", bound=BaseModel)

# Field -> whether its value asks for nothing.
REFUSED: Final[dict[str, Callable[[Any], bool]]] = {
    "tools": lambda value: not value,
    "functions": lambda value: not value,
    "tool_choice": lambda value: value in ("none", "auto"),
    "function_call": lambda value: value in ("none", "auto"),
    "logit_bias": lambda value: not value,
    "response_format": lambda value: value == {"type": "text"},
    "modalities": lambda value: value == ["text"],
    "audio": lambda value: not value,
    "prediction": lambda value: not value,
    "web_search_options": lambda value: value is None,
    # of completions
    "echo": lambda value: not value,
    "suffix": lambda value: not value,
    "best_of": lambda value: value == 1,
    # what other servers added
    "repetition_penalty": lambda value: value == 1,
    "min_tokens": lambda value: value == 0,
    "ignore_eos": lambda value: not value,
}


def short(stops: Any) -> Any:
    """Return the stop text or texts; ValueError when one is too long."""
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


_Penalty = Annotated[float | None, Field(ge=-2, le=2)]
_Share = Annotated[float | None, Field(ge=0, le=1)]
_Token = Annotated[int, Field(ge=0, lt=2**31)]
_Tokens = Annotated[tuple[_Token, ...], Field(fail_fast=True, strict=False)]


class SamplingFields(BaseModel):
    """How tokens are chosen, in the words that clients of every protocol use."""

    model_config = ConfigDict(strict=True)

    temperature: Annotated[float | None, Field(ge=0, le=2)] = None
    top_p: _Share = None
    top_k: Annotated[int | None, Field(ge=-1, lt=2**31, description="0 and -1: all")] = None
    min_p: _Share = None
    presence_penalty: _Penalty = None
    frequency_penalty: _Penalty = None
    seed: Annotated[int | None, Field(ge=-(2**63), lt=2**63)] = None

    def sampling(self) -> Sampling:
        """Return what the engine is told; what is absent asks for nothing."""
        return Sampling(
            temperature=self.temperature or 0.0,
            seed=(self.seed or 0) & _SEED_MASK,
            top_p=1.0 if self.top_p is None else self.top_p,
            top_k=max(0, self.top_k or 0),
            min_p=self.min_p or 0.0,
            presence_penalty=self.presence_penalty or 0.0,
            frequency_penalty=self.frequency_penalty or 0.0,
        )


class GenerationRequest(SamplingFields, ABC):
    """The honoured part of a body that both protocols share."""

    model_config = ConfigDict(extra="allow", strict=True)

    model: str
    max_tokens: Annotated[int | None, Field(ge=1)] = None
    stop: Annotated[str | Annotated[list[str], Field(max_length=MAX_STOPS)] | None, AfterValidator(short)] = None
    n: Annotated[int | None, Field(ge=1, le=MAX_REPLIES)] = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _few_fields(cls, given: Any) -> Any:
        if isinstance(given, dict) and len(given) > MAX_FIELDS:
            raise ValueError(f"a query has at most {MAX_FIELDS} fields, not {len(given)}")
        return given

    @abstractmethod
    def query(self) -> Query:
        """Return what the engine is asked."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end a reply."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(stop for stop in given if stop)

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a usage chunk."""
        return self.stream_options is not None and self.stream_options.include_usage


def _few_parts(messages: Any) -> Any:
    """Return the messages; ValueError when they have too many parts together."""
    if isinstance(messages, list) and len(messages) <= MAX_TURNS:
        contents = (turn.get("content") for turn in messages if isinstance(turn, dict))
        parts = sum(len(content) for content in contents if isinstance(content, list))
        if parts > MAX_PARTS:
            raise ValueError(f"messages have at most {MAX_PARTS} parts together, not {parts}")
    return messages


class ChatRequest(GenerationRequest):
    """The honoured part of a body of /v1/chat/completions."""

    # One mistake is enough: listing a million of them would take seconds.
    messages: Annotated[
        list[_Turn], Field(min_length=1, max_length=MAX_TURNS, fail_fast=True), BeforeValidator(_few_parts)
    ]
    max_completion_tokens: Annotated[int | None, Field(ge=1)] = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int | None, Field(ge=0, le=20)] = None

    @model_validator(mode="after")
    def _alternatives_belong_to_tokens(self) -> Self:
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs: true")
        return self

    def query(self) -> Query:
        """Return what the engine is asked."""
        return Query(
            messages=tuple(turn.message() for turn in self.messages),
            max_tokens=self.max_completion_tokens or self.max_tokens,
            sampling=self.sampling(),
            stops=self.stops,
            top_logprobs=(self.top_logprobs or 0) if self.logprobs else None,
            replies=self.n or 1,
        )


def _only(prompt: Any) -> Any:
    """Return the one prompt of a list of prompts, or the prompt that it is; ValueError when it is too long."""
    if isinstance(prompt, list) and len(prompt) > MAX_TOKENS:
        raise ValueError(f"a prompt has at most {MAX_TOKENS} tokens, not {len(prompt)}")
    if not (isinstance(prompt, list) and prompt and isinstance(prompt[0], str | list)):
        return prompt
    if len(prompt) > 1:
        raise ValueError(f"this server takes one prompt for a query, not {len(prompt)}")
    return prompt[0]


class CompletionRequest(GenerationRequest):
    """The honoured part of a body of /v1/completions: one prompt, as text or as tokens."""

    prompt: Annotated[str | _Tokens, BeforeValidator(_only)]
    logprobs: Annotated[int | None, Field(ge=0, le=5)] = None

    def query(self) -> Query:
        """Return what the engine is asked."""
        return Query(
            prompt=self.prompt,
            max_tokens=self.max_tokens,
            sampling=self.sampling(),
            stops=self.stops,
            top_logprobs=self.logprobs,
            replies=self.n or 1,
        )


def parse(body: bytes) -> ChatRequest:
    """Return the request of a body of /v1/chat/completions.

    Raises:
        RefusalError: 400, with a sentence that names the field.
    """
    return parsed(ChatRequest, body)


def parse_completion(body: bytes) -> CompletionRequest:
    """Return the request of a body of /v1/completions.

    Raises:
        RefusalError: 400, with a sentence that names the field.
    """
    return parsed(CompletionRequest, body)


def parsed(kind: type[Given], body: bytes) -> Given:
    """Return a body as a model.

    Raises:
        RefusalError: 400, with a sentence that names the field.
    """
    try:
        request = kind.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError as error:
        raise RefusalError(400, f"the body is no JSON: {error}", code="invalid_json") from None
    except ValidationError as error:
        first = error.errors()[0]
        param = ".".join(str(part) for part in first["loc"]) or "body"
        raise RefusalError(400, f"{param}: {first['msg']}", code="invalid_value", param=param) from None
    _refuse_unsupported(request.model_extra or {})
    return request


def _refuse_unsupported(extra: Mapping[str, Any]) -> None:
    for name, value in extra.items():
        asks_for_nothing = REFUSED.get(name)
        if value is not None and asks_for_nothing is not None and not asks_for_nothing(value):
            message = f"{name}: this server does not implement it; leave it out"
            raise RefusalError(400, message, code="unsupported_parameter", param=name)


def error_body(refusal: RefusalError) -> bytes:
    """Return the error in the shape that OpenAI's clients read."""
    kind = _KINDS.get(refusal.status, "invalid_request_error" if refusal.status < 500 else "server_error")  # noqa: PLR2004 - HTTP's own boundary
    error = {"message": refusal.message, "type": kind, "param": refusal.param, "code": refusal.code}
    return orjson.dumps({"error": error})
