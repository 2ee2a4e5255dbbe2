"""The OpenAI protocol, as far as the gateway has to understand it. Pure."""

from typing import Any, Final

from autoglm_gateway.json_body import json_object
from autoglm_gateway.refusal import RefusalError
from autoglm_gateway.route import Asked
from autoglm_gateway.tokens import prompt_tokens

_SYSTEM_ROLES: Final = ("system", "developer")


def parse_chat(body: bytes) -> tuple[str, Asked]:
    """Return the model's name and what is asked; the replica checks everything else.

    Raises:
        RefusalError: 400, when the body is not JSON or lacks model or messages.
    """
    chat = json_object(body)
    model = chat.get("model")
    if not isinstance(model, str) or not model:
        raise RefusalError(400, "`model` is required: the deployment's name, or the name of a pool's model")
    messages = chat.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RefusalError(400, "`messages` must be a list with at least one message")
    return model, _asked(messages, _requested_tokens(chat), tools=bool(chat.get("tools") or chat.get("functions")))


def model_list(models: list[str]) -> dict[str, Any]:
    """Return the answer to GET /v1/models."""
    return {"object": "list", "data": [model_card(name) for name in models]}


def model_card(name: str) -> dict[str, Any]:
    """Return one entry of the list of models; nobody knows when a model was made, so `created` is 0."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "autoglm"}


def _asked(messages: list[Any], max_tokens: int, *, tools: bool) -> Asked:
    texts: list[str] = []
    question = system = ""
    for message in messages:
        if not isinstance(message, dict):
            raise RefusalError(400, "every message must be an object with role and content")
        texts.append(_text(message.get("content")))
        if message.get("role") == "user":
            question = texts[-1]
        elif not system and message.get("role") in _SYSTEM_ROLES:
            system = texts[-1]
    return Asked(
        question or texts[-1],
        sum(map(len, texts)),
        len(texts),
        max_tokens,
        tools,
        prompt_tokens=sum(map(prompt_tokens, texts)),
        system=system,
    )


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") for part in content if isinstance(part, dict)]
    return "\n".join(part for part in parts if isinstance(part, str))


def _requested_tokens(chat: dict[str, Any]) -> int:
    for key in ("max_completion_tokens", "max_tokens"):
        value = chat.get(key)
        if isinstance(value, int):
            return value
    return 0
