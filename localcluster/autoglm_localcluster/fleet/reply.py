"""The bodies that a simulated replica sends, in the OpenAI chat format. Pure."""

from itertools import cycle, islice
from typing import Any, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field

_WORDS: Final = ("this ", "is ", "a ", "simulated ", "answer ", "from ", "the ", "fleet ")
_CHARACTERS_PER_TOKEN: Final = 4
DONE: Final = b"data: [DONE]\n\n"


class ChatQuery(BaseModel):
    """What the fleet reads of a chat request."""

    model_config = ConfigDict(extra="ignore")

    model: str = ""
    messages: list[dict[str, Any]] = Field(min_length=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stream: bool | None = None

    def output_tokens(self, default: int) -> int:
        """How many tokens the reply has."""
        return self.max_completion_tokens or self.max_tokens or default

    def prompt_tokens(self) -> int:
        """Rough length of the prompt in tokens."""
        characters = sum(len(str(message.get("content", ""))) for message in self.messages)
        return 1 + characters // _CHARACTERS_PER_TOKEN


def text(first: int, count: int) -> str:
    """Words number `first` to `first + count - 1` of the reply, one per token."""
    return "".join(islice(cycle(_WORDS), first % len(_WORDS), first % len(_WORDS) + count))


def whole(query: ChatQuery, reply_id: str, tokens: int) -> bytes:
    """Body of an answer that is not streamed."""
    message = {"role": "assistant", "content": text(0, tokens).strip()}
    usage = {"prompt_tokens": query.prompt_tokens(), "completion_tokens": tokens}
    usage["total_tokens"] = sum(usage.values())
    return orjson.dumps(
        {
            "id": reply_id,
            "object": "chat.completion",
            "created": 0,
            "model": query.model,
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            "usage": usage,
        }
    )


def event(query: ChatQuery, reply_id: str, content: str, *, finish: str | None = None) -> bytes:
    """One server-sent event of a streamed answer."""
    delta = {"content": content} if content else {}
    body = {
        "id": reply_id,
        "object": "chat.completion.chunk",
        "created": 0,
        "model": query.model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + orjson.dumps(body) + b"\n\n"


def error(message: str, kind: str) -> bytes:
    """Body of a refusal."""
    return orjson.dumps({"error": {"message": message, "type": kind}})
