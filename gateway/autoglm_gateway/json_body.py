"""The JSON object that a request's body must be, whatever its protocol."""

from typing import Any, ClassVar

import orjson

from autoglm_gateway.refusal import RefusalError


class _Last:
    """The body that was parsed last: the cache looks at the same one as the protocol does."""

    body: ClassVar[bytes] = b""
    parsed: ClassVar[object] = None


def json_of(body: bytes) -> object:
    """Return what a body says, which nobody may change; raises orjson.JSONDecodeError."""
    if body is not _Last.body:
        _Last.parsed = orjson.loads(body)
        _Last.body = body
    return _Last.parsed


def json_object(body: bytes) -> dict[str, Any]:
    """Return the body's JSON object.

    Raises:
        RefusalError: 400, the body is not JSON or not an object.
    """
    try:
        parsed = json_of(body)
    except orjson.JSONDecodeError as error:
        raise RefusalError(400, f"the body is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise RefusalError(400, "the body must be a JSON object")
    return parsed
