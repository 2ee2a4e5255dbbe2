"""The OpenAI protocol, as far as the gateway has to understand it. Pure."""

from collections.abc import Callable
from typing import Any, Final

from autoglm_api import names
from autoglm_gateway.json_body import json_object
from autoglm_gateway.refusal import RefusalError
from autoglm_gateway.route import Asked
from autoglm_gateway.tokens import prompt_tokens

Parser = Callable[[bytes], tuple[str, Asked]]
_SYSTEM_ROLES: Final = ("system", "developer")
# Nothing is generated for an embedding; the least that can be said of its answer's length is one token.
_EMBEDDING_TOKENS: Final = 1


def parse_chat(body: bytes) -> tuple[str, Asked]:
    """Return the model's name and what is asked; the replica checks everything else.

    Raises:
        RefusalError: 400, when the body is not JSON or lacks model or messages.
    """
    chat = json_object(body)
    model = _model(chat)
    messages = chat.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RefusalError(400, "`messages` must be a list with at least one message")
    return model, _asked(messages, _requested_tokens(chat), tools=bool(chat.get("tools") or chat.get("functions")))


def parse_completion(body: bytes) -> tuple[str, Asked]:
    """Return the same of a completion: its `prompt` is text, a list of texts, tokens, or a list of their lists.

    Raises:
        RefusalError: 400, when the body is not JSON or lacks model or prompt.
    """
    completion = json_object(body)
    return _model(completion), _asked_plainly("prompt", completion.get("prompt"), _requested_tokens(completion))


def parse_embedding(body: bytes) -> tuple[str, Asked]:
    """Return the same of an embedding, whose `input` has the forms of a completion's prompt.

    Raises:
        RefusalError: 400, when the body is not JSON or lacks model or input.
    """
    embedding = json_object(body)
    return _model(embedding), _asked_plainly("input", embedding.get("input"), _EMBEDDING_TOKENS)


PARSERS: Final[dict[str, Parser]] = {
    names.PATH_CHAT: parse_chat,
    names.PATH_COMPLETIONS: parse_completion,
    names.PATH_EMBEDDINGS: parse_embedding,
}
"""What is read of a body, by path."""


def _model(body: dict[str, Any]) -> str:
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise RefusalError(400, "`model` is required: the deployment's name, or the name of a pool's model")
    return model


def _asked_plainly(field: str, given: object, max_tokens: int) -> Asked:
    """Return what a text, or a list of texts or tokens, asks; tokens cannot be read here, only counted."""
    items = given if isinstance(given, list) else [given]
    texts = [item for item in items if isinstance(item, str)]
    ids = sum(len(item) if isinstance(item, list) else 1 for item in items if isinstance(item, int | list))
    if not items or len(texts) + sum(isinstance(item, int | list) for item in items) < len(items):
        raise RefusalError(400, f"`{field}` must be a text, tokens, or a list of texts or of lists of tokens")
    tokens = ids + sum(map(prompt_tokens, texts))
    return Asked(texts[-1] if texts else "", sum(map(len, texts)), 1, max_tokens, prompt_tokens=tokens)


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
        tools=tools,
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
